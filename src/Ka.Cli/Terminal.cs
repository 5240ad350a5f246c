using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Ka.Core.Faults;
using Ka.Protocol.Rest;

namespace Ka.Cli;

/// <summary>Data on standard output, talk on standard error.</summary>
public static class Terminal
{
    public static bool IsLive => SiteRun.Current is null or { Alone: true } && !Console.IsOutputRedirected && !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } and not "dumb";

    public static bool Colour => IsLive && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";

    public static int Width
    {
        get
        {
            try
            {
                return Math.Clamp(Console.WindowWidth, 40, 200);
            }
            catch (IOException)
            {
                return 80;
            }
        }
    }

    public static void Json<T>(T value, JsonTypeInfo<T> type)
    {
        var indented = new JsonWriterOptions { Indented = true };
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, indented))
            JsonSerializer.Serialize(writer, value, type);
        Console.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }

    /// <summary>Code of the problem that was said last; null when there was none.</summary>
    public static string? LastCode => Last.Value?.Value;

    static readonly AsyncLocal<System.Runtime.CompilerServices.StrongBox<string?>?> Last = new();

    /// <summary>From here on the code of the last problem of this flow of work is kept.</summary>
    public static void KeepLastCode() => Last.Value = new();

    /// <summary>Says a problem the way every problem is said, and gives the exit status.</summary>
    public static int Say(Problem problem)
    {
        if (Last.Value is { } last)
            last.Value = problem.Code;
        var talk = new StringBuilder($"ka: {problem.Detail ?? problem.Title}  ({problem.Code})\n");
        foreach (var error in problem.Errors ?? [])
            talk.Append(Indent(error.Text ?? $"{(error.Pointer is null ? "" : error.Pointer + ": ")}{error.Message}")).Append('\n');
        if (problem.Evidence is { Length: > 0 } evidence)
            talk.Append("  seen: ").Append(Indent(evidence).TrimStart()).Append('\n');
        if (problem.Next is { Length: > 0 } next)
            talk.Append("  next: ").Append(next).Append('\n');
        Console.Error.Write(Safe(talk.ToString()));
        return ExitCodes.OfProblem(problem.Status, problem.Code);
    }

    public static int Say(Fault fault) => Say(ProblemOf(fault));

    /// <summary>A fault that was found here, as the server would have told it.</summary>
    public static Problem ProblemOf(Fault fault) => new(null, null, 0, fault.Message, fault.Code.Text, FaultCodes.Explain(fault.Code.Text)?.Next, fault.Evidence, null);

    /// <summary>Says what is wrong with a command line, and gives the exit status.</summary>
    public static int Misused(string why)
    {
        Console.Error.WriteLine(Safe("ka: " + why));
        return ExitCodes.Usage;
    }

    static string Indent(string text) => string.Join('\n', text.Split('\n').Select(l => "  " + l));

    /// <summary>What comes from nodes may hold control characters; a terminal must not see them.</summary>
    public static string Safe(string text) => string.Create(text.Length, text, (span, from) =>
    {
        for (var i = 0; i < from.Length; i++)
            span[i] = char.IsControl(from[i]) && from[i] is not '\n' ? '·' : from[i];
    });

    /// <summary>A table with aligned columns; the last column is not padded.</summary>
    public static void Table(string[] heads, IEnumerable<string[]> rows)
    {
        var all = rows.Prepend(heads).ToArray();
        var widths = heads.Select((_, c) => all.Max(r => r[c].Length)).ToArray();
        foreach (var row in all)
            Console.WriteLine(Safe(string.Join("  ", row.Select((cell, c) => c == row.Length - 1 ? cell : cell.PadRight(widths[c])))).TrimEnd());
    }

    public static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.0} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.0} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.0} KiB",
        _ => $"{bytes} B",
    };

    public static string Duration(TimeSpan time) => time.TotalHours >= 1 ? $"{(int)time.TotalHours}h{time.Minutes:00}m" : $"{(int)time.TotalMinutes}m{time.Seconds:00}s";

    public static string Ago(DateTimeOffset at, DateTimeOffset now) => (now - at) switch
    {
        { TotalMinutes: < 1 } => "just now",
        { TotalHours: < 1 } t => $"{(int)t.TotalMinutes} min ago",
        { TotalDays: < 1 } t => $"{(int)t.TotalHours} h ago",
        var t => $"{(int)t.TotalDays} days ago",
    };
}

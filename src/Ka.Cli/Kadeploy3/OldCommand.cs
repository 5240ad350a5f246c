using System.Collections.Immutable;

namespace Ka.Cli.Kadeploy3;

/// <summary>What a command line of Kadeploy3 is in ka's words.</summary>
/// <param name="Words">Arguments of <c>ka</c>.</param>
/// <param name="Notes">What was asked for and has no effect here, each with the reason.</param>
/// <param name="Refusal">Why it cannot be carried out; null when it can.</param>
public sealed record OldCall(ImmutableArray<string> Words, ImmutableArray<string> Notes, string? Refusal)
{
    /// <summary>On every server that is known (<c>-M</c>), not on one.</summary>
    public bool AllServers { get; init; }

    /// <summary>As a person would type it.</summary>
    public override string ToString() => "ka " + string.Join(' ', Words.Select(Quoted));

    static string Quoted(string word) => word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./:,=@%+[]!~*".Contains(c)) ? word : "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}

/// <summary>Whether an option takes a value.</summary>
public enum OldValue
{
    /// <summary>It can be negated: <c>--no-NAME</c>.</summary>
    None,
    Optional,
    Required,
}

/// <summary>One row of a grammar.</summary>
/// <param name="Letter">Null for none.</param>
/// <param name="Take">What it means; the value is null for an optional one that is left out, <c>no</c> for a negated option.</param>
public sealed record OldOption(string Name, char? Letter, OldValue Value, Action<OldWords, string?> Take);

/// <summary>Gathers what the options of one command line mean.</summary>
public sealed class OldWords
{
    readonly List<string> _notes = [];

    public List<string> Nodes { get; } = [];

    public string? NodesFile { get; set; }

    /// <summary><c>-M</c>.</summary>
    public bool AllServers { get; set; }

    /// <summary>Options of ka, in order.</summary>
    public List<string> Options { get; } = [];

    /// <summary>Options of every ka command.</summary>
    public List<string> Globals { get; } = [];

    /// <summary>Single values by their old name, for the tool to put together.</summary>
    public Dictionary<string, string?> Values { get; } = new(StringComparer.Ordinal);

    public List<string> Positional { get; } = [];

    public string? Refusal { get; private set; }

    public bool Has(string name) => Values.ContainsKey(name);

    public string? this[string name] => Values.GetValueOrDefault(name);

    public void Note(string note) => _notes.Add(note);

    public void Refuse(string why) => Refusal ??= why;

    public OldCall Call(params IEnumerable<string> words) => new([.. words, .. Options, .. Globals], [.. _notes], Refusal) { AllServers = AllServers };

    public OldCall Refused(string why)
    {
        Refuse(why);
        return new OldCall([], [.. _notes], Refusal);
    }

    /// <summary>The nodes that were named; without any, those of the job that this runs in. Null when there are none.</summary>
    public ImmutableArray<string>? Selection(Func<string, string?> variable)
    {
        var file = NodesFile ?? (Nodes.Count > 0 ? null : variable("OAR_NODEFILE") ?? variable("OAR_NODE_FILE"));
        ImmutableArray<string> words = [.. Nodes.Count > 0 ? (string[])["-w", string.Join(',', Nodes)] : [], .. file is null ? (string[])[] : ["--nodes-file", file]];
        return words.IsEmpty ? null : words;
    }
}

/// <summary>Reads a command line by a table of options, the way Ruby's OptionParser does: bundled letters, glued values, unambiguous beginnings of long names.</summary>
public static class OldParser
{
    public static OldWords Read(IReadOnlyList<OldOption> table, IReadOnlyList<string> arguments)
    {
        var words = new OldWords();
        for (var i = 0; i < arguments.Count && words.Refusal is null; i++)
        {
            var argument = arguments[i];
            if (argument == "--")
            {
                words.Positional.AddRange(arguments.Skip(i + 1));
                break;
            }
            if (argument.StartsWith("--", StringComparison.Ordinal))
                Long(table, words, argument[2..], arguments, ref i);
            else if (argument.Length > 1 && argument[0] == '-')
                Letters(table, words, argument, arguments, ref i);
            else
                words.Positional.Add(argument);
        }
        return words;
    }

    static void Long(IReadOnlyList<OldOption> table, OldWords words, string text, IReadOnlyList<string> arguments, ref int i)
    {
        var parts = text.Split('=', 2);
        var negated = false;
        var found = Named(table, parts[0]);
        if (found.Length == 0 && parts[0].StartsWith("no-", StringComparison.Ordinal))
            (found, negated) = ([.. Named(table, parts[0][3..]).Where(o => o.Value == OldValue.None)], true);
        if (found.Length != 1)
            words.Refuse(found.Length == 0 ? $"invalid option: --{text}" : $"ambiguous option: --{text} ({string.Join(", ", found.Select(o => "--" + o.Name))})");
        else if (found[0].Value == OldValue.None && parts.Length == 2)
            words.Refuse($"needless argument: --{text}");
        else
            Take(found[0], words, parts.Length == 2 ? parts[1] : null, negated, "--" + found[0].Name, arguments, ref i);
    }

    static OldOption[] Named(IReadOnlyList<OldOption> table, string name) => table.FirstOrDefault(o => o.Name == name) is { } exact
        ? [exact]
        : [.. name.Length == 0 ? [] : table.Where(o => o.Name.StartsWith(name, StringComparison.Ordinal))];

    static void Letters(IReadOnlyList<OldOption> table, OldWords words, string argument, IReadOnlyList<string> arguments, ref int i)
    {
        for (var at = 1; at < argument.Length && words.Refusal is null; at++)
        {
            if (table.FirstOrDefault(o => o.Letter == argument[at]) is not { } option)
            {
                words.Refuse($"invalid option: -{argument[at]}");
                return;
            }
            var glued = option.Value != OldValue.None && at + 1 < argument.Length ? argument[(at + 1)..] : null;
            Take(option, words, glued, negated: false, $"-{argument[at]}", arguments, ref i);
            if (glued is not null)
                return;
        }
    }

    static void Take(OldOption option, OldWords words, string? value, bool negated, string written, IReadOnlyList<string> arguments, ref int i)
    {
        var next = i + 1 < arguments.Count ? arguments[i + 1] : null;
        if (value is null && option.Value == OldValue.Required)
        {
            if (next is null)
            {
                words.Refuse($"missing argument: {written}");
                return;
            }
            value = next;
            i++;
        }
        else if (value is null && option.Value == OldValue.Optional && next is not null && (next == "-" || !next.StartsWith('-')))
        {
            value = next;
            i++;
        }
        option.Take(words, negated ? "no" : value);
    }
}

using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Simulation.Broadcasts;

namespace Ka.Server.Hosting;

/// <summary>What is to be simulated of a broadcast, as a person writes it.</summary>
/// <param name="Way">Null lets <see cref="WayChoice"/> pick.</param>
/// <param name="Exact">With the protocol's own code instead of the model of the flow.</param>
sealed record BroadcastQuestion(
    int Nodes, long Bytes, double BitsPerSecond, TimeSpan Latency, BroadcastWay? Way, int Deaths, Death Death, ulong Seed, bool Exact)
{
    public const string Usage =
        "--nodes 1-100000, --bytes 2GB, --link 10Gbit, --latency 50us, --way auto|chain|tree|two-trees, --deaths N, --death silence|reset, --seed N, --exact";

    /// <summary>The protocol's own code needs a few threads for each node and the image in memory.</summary>
    public const int ExactNodes = 500;

    public const long ExactBytes = 64 << 20;

    static readonly ImmutableArray<(string Unit, double Factor)> Sizes = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1), ("", 1)];
    static readonly ImmutableArray<(string Unit, double Factor)> Rates = [("Gbit", 1e9), ("Mbit", 1e6)];
    static readonly ImmutableArray<(string Unit, double Factor)> Times = [("us", 1e-6), ("ms", 1e-3), ("s", 1)];

    /// <summary>Null and the offending option where the words are not understood.</summary>
    public static (BroadcastQuestion? Question, string Error) Parse(string[] words)
    {
        var asked = new BroadcastQuestion(1000, 2_000_000_000, 10e9, TimeSpan.FromMicroseconds(50), null, 0, Death.Silence, 1, false);
        for (var i = 0; i < words.Length; i++)
        {
            if (words[i] == "--exact")
            {
                asked = asked with { Exact = true };
                continue;
            }
            var value = i + 1 < words.Length ? words[i + 1] : "";
            if (asked.With(words[i], value) is not { } next)
                return (null, $"'{words[i]} {value}' is not understood; {Usage}");
            asked = next;
            i++;
        }
        if (asked.Deaths >= asked.Nodes)
            return (null, $"--deaths {asked.Deaths}: of {asked.Nodes} nodes one at least must live");
        return asked.Exact && (asked.Nodes > ExactNodes || asked.Bytes > ExactBytes)
            ? (null, $"--exact takes up to {ExactNodes} nodes and {ExactBytes >> 20} MiB")
            : (asked, "");
    }

    BroadcastQuestion? With(string option, string value) => option switch
    {
        "--nodes" => int.TryParse(value, out var n) && n is > 0 and <= 100_000 ? this with { Nodes = n } : null,
        "--bytes" => Quantity(value, Sizes) is { } b and <= 1e15 ? this with { Bytes = (long)b } : null,
        "--link" => Quantity(value, Rates) is { } r ? this with { BitsPerSecond = r } : null,
        "--latency" => Quantity(value, Times) is { } t and <= 10 ? this with { Latency = TimeSpan.FromSeconds(t) } : null,
        "--way" => value == "auto" ? this with { Way = null } : WayChoice.Planned.Where(w => w.Word() == value).Select(w => this with { Way = w }).FirstOrDefault(),
        "--deaths" => int.TryParse(value, out var d) && d >= 0 ? this with { Deaths = d } : null,
        "--death" => value is "silence" or "reset" ? this with { Death = value == "reset" ? Death.Reset : Death.Silence } : null,
        "--seed" => ulong.TryParse(value, out var s) ? this with { Seed = s } : null,
        _ => null,
    };

    static double? Quantity(string text, ImmutableArray<(string Unit, double Factor)> units)
    {
        foreach (var (unit, factor) in units)
            if (text.EndsWith(unit, StringComparison.OrdinalIgnoreCase)
                && double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                && number > 0)
                return number * factor;
        return null;
    }
}

/// <summary><c>kad sim broadcast</c>: how long a broadcast would take.</summary>
static class BroadcastSimulation
{
    public static int Run(string[] words, TextWriter written, TextWriter errors)
    {
        var (question, error) = BroadcastQuestion.Parse(words);
        if (question is null)
        {
            errors.WriteLine($"kad sim broadcast: {error}");
            return ServerCommands.Usage;
        }
        var clock = Stopwatch.StartNew();
        var choice = WayChoice.For(question.Bytes, question.Nodes, question.BitsPerSecond, question.Latency);
        var way = question.Way ?? choice.Way;
        var deaths = Deaths(question);
        var end = question.Exact ? Exact(question, way, deaths) : Model(question, way, deaths);
        var ideal = question.Bytes * 8 / question.BitsPerSecond;
        written.WriteLine($"way       {way.Word()}");
        written.WriteLine($"why       {(question.Way is null ? choice.Why : "it was asked for")}");
        written.WriteLine($"nodes     {question.Nodes}, of which {end.Died} died on the way");
        written.WriteLine($"time      {end.Elapsed.TotalSeconds:0.000} s");
        written.WriteLine($"ratio     {end.Elapsed.TotalSeconds / ideal:0.00} times the image over the link ({ideal:0.000} s)");
        written.WriteLine($"source    sent {end.SourceBytes} bytes, {(double)end.SourceBytes / question.Bytes:0.00} times the image");
        errors.WriteLine($"took {clock.Elapsed.TotalSeconds:0.0} s");
        return 0;
    }

    /// <summary>Different nodes, at moments spread over the time that the image takes.</summary>
    static ImmutableArray<(int Node, TimeSpan Moment)> Deaths(BroadcastQuestion question)
    {
        var luck = new Random((int)(question.Seed % int.MaxValue));
        var nodes = Enumerable.Range(0, question.Nodes).ToArray();
        luck.Shuffle(nodes);
        var span = question.Bytes * 8 / question.BitsPerSecond;
        return [.. nodes.Take(question.Deaths).Select(n => (n, TimeSpan.FromSeconds(luck.NextDouble() * span)))];
    }

    static FlowEnd Model(BroadcastQuestion question, BroadcastWay way, ImmutableArray<(int, TimeSpan)> deaths) =>
        FlowModel.Run(new FlowScene(question.Nodes, question.Bytes, way, question.BitsPerSecond, question.Latency) { Deaths = deaths, Death = question.Death });

    static FlowEnd Exact(BroadcastQuestion question, BroadcastWay way, ImmutableArray<(int Node, TimeSpan Moment)> deaths)
    {
        const int block = WayChoice.DefaultBlockBytes;
        var shape = new NetworkShape(question.BitsPerSecond, question.Latency, SegmentBytes: block + 8);
        var end = SimulatedBroadcast.Run(new BroadcastScene(question.Nodes, (int)question.Bytes, way, shape, question.Seed)
        {
            ChunkBytes = 4 * block,
            Verified = false,
            Options = ChainOptions.Default with { BlockBytes = block, RingBytes = 32 * block },
            Mishaps = [.. deaths.Select(d => new Mishap.DiesAt(d.Node, d.Moment, question.Death))],
        });
        if (!end.AllHaveIt)
            throw new InvalidOperationException("not every living node has the image: " + string.Join("; ", end.Living.Select(n => n.Outcome?.Fault).OfType<object>()));
        return new FlowEnd(end.Elapsed, end.SourceBytes, end.Nodes.Count(n => n.Died));
    }
}

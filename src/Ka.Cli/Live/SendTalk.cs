using System.Diagnostics;
using System.Globalization;
using System.Text;
using Ka.Broadcast.Standalone;

namespace Ka.Cli.Live;

/// <summary>Says every second how far the receivers of <c>ka bcast send</c> and <c>ka copy</c> are, and who holds the others back: repainted on a terminal, lines elsewhere.</summary>
sealed class SendTalk(IStandaloneSender sender)
{
    /// <summary>Hops that a terminal shows; of more, those that are furthest behind.</summary>
    const int Shown = 24;

    long _at = Stopwatch.GetTimestamp();
    Dictionary<string, long> _had = [];
    int _painted;

    public void Look()
    {
        var elapsed = Stopwatch.GetElapsedTime(_at);
        if (elapsed < TimeSpan.FromSeconds(1))
            return;
        var states = sender.States;
        var lines = Draw(states, _had, elapsed, Terminal.IsLive ? Terminal.Width : 0);
        (_at, _had) = (Stopwatch.GetTimestamp(), states.Where(s => s.Progress is not null).ToDictionary(s => s.Name, s => s.Progress!.Written, StringComparer.Ordinal));
        var text = new StringBuilder();
        if (Terminal.IsLive && _painted > 0)
            text.Append(CultureInfo.InvariantCulture, $"\e[{_painted}A\e[J");
        foreach (var line in lines)
            text.Append(Terminal.Safe(line)).Append('\n');
        _painted = lines.Count;
        Console.Error.Write(text);
    }

    /// <param name="had">What each had written when it was last looked at.</param>
    /// <param name="width">Of the terminal, which gets a line for each hop; 0 for a log.</param>
    public static IReadOnlyList<string> Draw(IReadOnlyCollection<ReceiverState> states, IReadOnlyDictionary<string, long> had, TimeSpan elapsed, int width)
    {
        var receiving = states.Where(s => s is { Progress: not null, State: "receiving" }).ToArray();
        if (receiving.Length == 0)
            return [$"{states.Count(s => s.State == "waiting")} of {states.Count} have come"];
        double RateOf(ReceiverState state) => Math.Max(0, state.Progress!.Written - had.GetValueOrDefault(state.Name)) / elapsed.TotalSeconds;
        var slowest = receiving.MinBy(s => s.Progress!.Written)!;
        var isLive = slowest.Progress!.Total == long.MaxValue;
        var total = Math.Max(1, slowest.Progress.Total);
        string Share(double written, int width = 0) => isLive
            ? string.Create(CultureInfo.InvariantCulture, $"{written / 1e6:0} MB").PadLeft(width)
            : string.Create(CultureInfo.InvariantCulture, $"{100.0 * written / total:0} %").PadLeft(width);
        var rate = receiving.Average(RateOf);
        var eta = RateOf(slowest) > 0 && !isLive ? $"  ETA {Terminal.Duration(TimeSpan.FromSeconds((total - slowest.Progress.Written) / RateOf(slowest)))}" : "";
        var lines = new List<string>
        {
            string.Create(CultureInfo.InvariantCulture,
                $"{Share(receiving.Average(s => (double)s.Progress!.Written))}  {rate / 1e6:0} MB/s each  done {states.Count(s => s.State == "done")}  lost {states.Count(s => s.State is "lost" or "failed")}  behind: {slowest.Name} {Share(slowest.Progress.Written)}{eta}"),
        };
        if (width == 0)
        {
            lines.AddRange(receiving.Where(s => s.Slow is not null).Select(s => $"  {s.Name} {s.Slow}"));
            return lines;
        }
        foreach (var state in receiving.OrderBy(s => s.Progress!.Written).Take(Shown))
        {
            var seen = state.Progress!;
            var line = string.Create(CultureInfo.InvariantCulture,
                $"  {state.Name,-16} {Share(seen.Written, 5)}  {RateOf(state) / 1e6,6:0.0} MB/s  ring {100.0 * seen.RingBytes / Math.Max(1, seen.RingCapacity),3:0} %  from {seen.Upstream ?? "nobody"}{(state.Slow is { } slow ? "  " + slow : "")}");
            lines.Add(line.Length <= width ? line : line[..(width - 1)] + "…");
        }
        return lines;
    }
}

using System.Text;
using Ka.Core.NodeSets;

namespace Ka.Cli.Live;

/// <summary>Draws a <see cref="WatchState"/> as lines of text. Pure, so that its look is tested.</summary>
public static class LiveView
{
    /// <summary>A macro step as people are told it.</summary>
    static string Word(string macro) => macro switch { "SetDeploymentEnv" => "minimal env", "BroadcastEnv" => "install", "BootNewEnv" => "boot", _ => macro.ToLowerInvariant() };

    /// <summary>Up to this many nodes have a name each; more have a letter each.</summary>
    const int NamedNodes = 16;

    public static IReadOnlyList<string> Draw(string title, WatchState state, DateTimeOffset now, int width)
    {
        var lines = new List<string> { Cut(title, width) };
        var total = Math.Max(1, state.Nodes.Count);
        for (var macro = 1; macro <= state.Macros.Length; macro++)
        {
            var past = state.Past(macro);
            var parts = (double)past / total;
            var right = $"{past}/{total}";
            var copying = state.Nodes.Where(n => n.Macro == macro && n.Transfer is { Total: > 0 }).Select(n => n.Transfer!).ToArray();
            if (copying.Length > 0)
                parts += copying.Sum(t => t.Done / (double)t.Total!.Value) * 0.7 / total;
            var time = state.Times.TryGetValue(macro, out var at)
                ? Terminal.Duration((past + state.Failed >= total ? at.Last : now) - at.First)
                : "";
            lines.Add(Cut($" {macro} {Word(state.Macros[macro - 1]),-12} {Bar(parts, 24)}  {right,7}  {time}", width));
            if (copying.Length > 0)
                lines.Add(Cut(Transfer(copying), width));
        }
        lines.Add("");
        lines.AddRange(NodeLines(state, width));
        return lines;
    }

    static string Transfer(Protocol.Rest.NodeProgress[] copying)
    {
        var done = copying.Min(t => t.Done);
        var total = copying[0].Total!.Value;
        var rate = copying.Min(t => t.BytesPerSecond);
        var eta = rate > 0 ? $" · ETA {Terminal.Duration(TimeSpan.FromSeconds((total - done) / rate))}" : "";
        var slow = copying.Where(t => t.Slow is not null).Select(t => t.Node).ToArray();
        var named = slow.Length > 0 ? $" · slow: {NodeSet.FromNames(slow.Select(NodeName.Parse))}" : "";
        return $"     {(copying[0].Strategy ?? "chain").ToLowerInvariant()} of {copying.Length} · {Terminal.Size(done)} of {Terminal.Size(total)} · {Terminal.Size((long)rate)}/s{eta}{named}";
    }

    static IEnumerable<string> NodeLines(WatchState state, int width)
    {
        var nodes = state.Nodes;
        if (nodes.Count <= NamedNodes)
        {
            foreach (var node in nodes)
            {
                var transfer = node.Transfer is { Total: { } total } t ? $"  {t.Phase} {100 * t.Done / Math.Max(1, total)} %  {Terminal.Size((long)t.BytesPerSecond)}/s{(t.Slow is { } slow ? "  " + slow : "")}" : "";
                var again = node.Try > 0 ? $"  (try {node.Try + 1})" : "";
                yield return Cut($" {Letter(node)} {node.Name,-16} {Where(node)}{again}{transfer}", width);
            }
            yield break;
        }
        var line = new StringBuilder(" ");
        foreach (var node in nodes)
        {
            line.Append(Letter(node));
            if (line.Length >= width - 1)
            {
                yield return line.ToString();
                line.Clear().Append(' ');
            }
        }
        if (line.Length > 1)
            yield return line.ToString();
        yield return Cut(" " + string.Join("  ", nodes.GroupBy(Letter).OrderByDescending(g => g.Count()).Select(g => $"{g.Key} {WordOf(g.Key)} {g.Count()}")), width);
    }

    static string Where(WatchedNode node) => node.State switch
    {
        "ok" => "ok",
        "failed" => node.Step is null ? "failed" : $"failed at {node.Step}",
        _ => node.Step ?? node.State,
    };

    /// <summary>One letter says where a node is; colour never does it alone.</summary>
    public static char Letter(WatchedNode node) => node.State switch
    {
        "ok" => 'K',
        "failed" => 'X',
        "retrying" => '!',
        "queued" => 'Q',
        _ => (node.Macro, node.Step) switch
        {
            (1, "boot_minimal" or "reboot" or "await_agent") => 'B',
            (1, "boot_local_disk" or "boot_profile" or "power_on" or "power_off" or "power_cycle" or "await_deployed" or "await_loaded") => 'R',
            (1, _) => 'P',
            (2, "send_image") => 'C',
            (2, _) => 'I',
            (3, _) => 'R',
            _ => 'Q',
        },
    };

    static string WordOf(char letter) => letter switch
    {
        'K' => "ok",
        'X' => "failed",
        '!' => "retrying",
        'B' => "booting",
        'P' => "preparing",
        'C' => "copying",
        'I' => "installing",
        'R' => "rebooting",
        _ => "queued",
    };

    static string Bar(double part, int cells)
    {
        var eighths = (int)Math.Round(Math.Clamp(part, 0, 1) * cells * 8);
        var text = new StringBuilder().Append('█', eighths / 8);
        if (eighths % 8 > 0)
            text.Append("▏▎▍▌▋▊▉"[eighths % 8 - 1]);
        return text.Append('░', cells - text.Length).ToString();
    }

    static string Cut(string line, int width) => line.Length <= width ? line : line[..(width - 1)] + "…";
}

using System.Text;

namespace Ka.Core.NodeSets;

/// <summary>A run of indexes as ClusterShell writes it: <c>start-stop</c>, or one index when both are equal.</summary>
/// <param name="Pad">Width to pad to with zeros, 0 for none.</param>
internal readonly record struct IndexRun(long Start, long Stop, int Pad)
{
    public string StartText => DigitString.Format(Pad, Start);

    public string StopText => DigitString.Format(Pad, Stop);
}

/// <summary>
/// Writes an <see cref="IndexSet"/> as ClusterShell 1.9 does. The state and its quirks are theirs on purpose (a run that began
/// padded does not grow past its width even through later, unpadded indexes), because the output must be the same to the letter.
/// </summary>
internal static class IndexFolding
{
    public static string Fold(IndexSet set)
    {
        var text = new StringBuilder();
        foreach (var run in Runs(set))
        {
            text.Append(text.Length > 0 ? "," : "").Append(run.StartText);
            if (run.Stop > run.Start)
            {
                text.Append('-').Append(run.StopText);
            }
        }

        return text.ToString();
    }

    public static List<IndexRun> Runs(IndexSet set)
    {
        var runs = new List<IndexRun>();
        var state = default(State);
        var isFirst = true;
        foreach (var rank in set.Ranks())
        {
            var (width, value) = DigitString.Split(rank);
            var padded = DigitString.IsPadded(width, value);
            if (isFirst)
            {
                (state, isFirst) = (new State(value, width, padded, 0, value), false);
                continue;
            }

            var otherPadding = state.Padded ? width != state.Width : padded;
            var otherStep = !otherPadding && state.Step != 0 && state.Step != value - state.Last;
            if (!otherPadding && !otherStep)
            {
                state = state with { Step = value - state.Last, Last = value };
                continue;
            }

            var isRun = state.Step is 0 or 1;
            Write(runs, state, isRun || otherPadding ? state.Last : state.Last - state.Step, isRun);
            var next = isRun || otherPadding ? new State(value, width, padded, 0, value) : state with { Start = state.Last };
            state = next with { Step = otherStep ? value - state.Last : 0, Last = value };
        }

        if (!isFirst)
        {
            Write(runs, state, state.Last, state.Step is 0 or 1);
        }

        return runs;
    }

    private static void Write(List<IndexRun> runs, State state, long last, bool isRun)
    {
        var pad = state.Padded ? state.Width : 0;
        if (isRun)
        {
            runs.Add(new(state.Start, last, pad));
            return;
        }

        for (var value = state.Start; value <= last; value += state.Step)
        {
            runs.Add(new(value, value, pad));
        }
    }

    /// <param name="Step">Distance between the last two indexes, 0 when only one was seen.</param>
    private readonly record struct State(long Start, int Width, bool Padded, long Step, long Last);
}

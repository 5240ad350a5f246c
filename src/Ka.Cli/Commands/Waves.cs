using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka deploy --waves 10%,50%,100%</c>: the nodes one part after the other, each an operation of its own, and no further part after one that went badly.</summary>
sealed class Waves
{
    readonly Option<string?> _waves = new("--waves") { Description = "One part of the nodes after the other: how many are done after each, as in 1,10%,100%" };
    readonly Option<string> _most = new("--max-failed") { Description = "Begin no further wave when more than this share of a wave's nodes failed", DefaultValueFactory = _ => "10%" };

    public Waves(Command command)
    {
        command.Add(_waves);
        command.Add(_most);
    }

    public bool Wanted(ParseResult parsed) => parsed.GetValue(_waves) is not null;

    /// <summary>The nodes of each wave. Every mark is a number or a share of all nodes, rounded up; they grow, and the last is all of them.</summary>
    public static bool TryCut(string marks, NodeSet nodes, out ImmutableArray<NodeSet> waves, out string why)
    {
        var names = nodes.ToArray();
        var cut = ImmutableArray.CreateBuilder<NodeSet>();
        var done = 0;
        (waves, why) = ([], "");
        foreach (var mark in marks.Split(','))
        {
            if (Manner.Minimum(mark, names.Length) is not { } upTo || upTo < done || upTo > names.Length)
            {
                why = $"--waves '{marks}': '{mark}' is no number or share of {names.Length} node(s) that is at least the one before";
                return false;
            }
            // Of few nodes a share may add none.
            if (upTo > done)
                cut.Add(NodeSet.FromNames(names[done..upTo]));
            done = upTo;
        }
        if (done < names.Length)
        {
            why = $"--waves '{marks}' leaves {names.Length - done} of {names.Length} node(s) out: the last mark must be 100%";
            return false;
        }
        waves = cut.ToImmutable();
        return true;
    }

    /// <param name="would">What the server would do with all nodes at once.</param>
    public async Task<int> RunAsync(ParseResult parsed, DeployBody body, PlanReply would, Manner manner, Server server, CancellationToken cancel)
    {
        var all = Set(would.Nodes);
        if (would.Skipped is { } skipped)
            Console.Error.WriteLine(Terminal.Safe($"ka: left alone, because they have {would.Environment} already: {skipped}"));
        if (all.IsEmpty)
            return ExitCodes.Done;
        if (!TryCut(parsed.GetValue(_waves)!, all, out var waves, out var why) || Manner.Minimum(parsed.GetValue(_most)!, 100) is not { } share || !parsed.GetValue(_most)!.EndsWith('%'))
            return Terminal.Misused(why.Length > 0 ? why : $"--max-failed '{parsed.GetValue(_most)}' is no share such as 10%");
        if (body.ConfirmNodes is { } confirmed && confirmed != all.Count)
            return Terminal.Misused($"--confirm-nodes {confirmed}: these are {all.Count} nodes");
        var clock = Stopwatch.StartNew();
        var (ok, failed, operations) = (NodeSet.Empty, NodeSet.Empty, new List<OperationReply>());
        for (var i = 0; i < waves.Length; i++)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: wave {i + 1} of {waves.Length}: {waves[i].Count} node(s): {waves[i]}"));
            var asked = body with { DryRun = false, Nodes = waves[i].ToString(), ConfirmNodes = body.ConfirmNodes is null ? null : waves[i].Count };
            var accepted = await server.PostAsync("api/v1/deployments", asked, RestJson.Default.DeployBody, RestJson.Default.OperationReply, cancel);
            if (accepted.Value is not { } operation)
                return Left(i, Terminal.Say(accepted.Problem!));
            if (operation.Id.Length == 0)
                continue;
            manner.WriteId(parsed, operation.Id);
            var (status, ended) = await Following.RunAsync(server, operation, parsed, manner.Verbose(parsed), manner.Rest(parsed, clock.Elapsed), cancel);
            if (ended is null)
                return Left(i + 1, status);
            operations.Add(ended);
            ok |= Set(ended.Ok);
            failed |= Set(ended.Failed);
            if (ended.State == "cancelled" || Set(ended.Failed).Count * 100 > share * ended.Count)
            {
                Console.Error.WriteLine(Terminal.Safe($"ka: wave {i + 1} {(ended.State == "cancelled" ? "was cancelled" : $"failed on {Set(ended.Failed).Count} of {ended.Count} node(s), more than {share}%")}"));
                Left(i + 1, status);
                break;
            }
        }
        if (operations.Count == 0)
            return ExitCodes.Done;
        var begun = operations.Aggregate(NodeSet.Empty, (sum, o) => sum | Set(o.Nodes));
        var whole = operations[^1] with { Ok = ok.ToString(), Failed = failed.ToString(), Count = all.Count, Nodes = begun.ToString(), Id = string.Join(',', operations.Select(o => o.Id)) };
        var state = ok.Count == all.Count ? "done" : operations[^1].State == "cancelled" ? "cancelled" : ok.IsEmpty ? "failed" : "partial";
        return await manner.AfterAsync(parsed, whole with { State = state }, ExitCodes.OfState(state), cancel);

        int Left(int next, int status)
        {
            if (next < waves.Length)
            {
                var rest = waves[next..].Aggregate(NodeSet.Empty, (sum, w) => sum | w);
                Console.Error.WriteLine(Terminal.Safe($"ka: not begun: {rest.Count} node(s): {rest}"));
            }
            return status;
        }
    }

    static NodeSet Set(string nodes) => nodes.Length == 0 ? NodeSet.Empty : NodeSet.Parse(nodes);
}

using System.Collections.Concurrent;
using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Drivers.Programs;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>
/// The site's own program brings the image: every node makes room, the program runs once for all of them, and each node then proves what it was
/// brought. What the program says of itself only saves waiting for nodes that have nothing.
/// </summary>
sealed class CustomSending(IReadOnlyDictionary<int, Fault> failed) : ISending
{
    const int MakingRoomAtOnce = 256;

    public static async Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel)
    {
        var parts = delivery.Parts;
        if (parts.Workflow.Cluster.Broadcast.Custom is not { } settings)
            return Fault.Of(FaultCodes.BroadcastUnavailable, "the cluster names no program that brings images");
        var failed = await MakeRoomAsync(delivery, cancel);
        var ready = delivery.Order.Where(i => !failed.ContainsKey(i)).ToImmutableArray();
        var directory = Directory.CreateTempSubdirectory("ka-custom-").FullName;
        try
        {
            if (!ready.IsEmpty)
                foreach (var (index, fault) in await BringAsync(delivery, settings, ready, directory, cancel))
                    failed[index] = fault;
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
        return new Opening(new CustomSending(failed), null);
    }

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain) =>
        failed.TryGetValue(index, out var fault) ? (null, fault) : (plain with { IsPlaced = true }, null);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    static async Task<ConcurrentDictionary<int, Fault>> MakeRoomAsync(Delivery delivery, CancellationToken cancel)
    {
        var (parts, image) = (delivery.Parts, delivery.Image);
        var failed = new ConcurrentDictionary<int, Fault>();
        var room = new MakeRoom(image.Bytes, delivery.RoomOnTarget);
        await Parallel.ForEachAsync(delivery.Order, new ParallelOptions { MaxDegreeOfParallelism = MakingRoomAtOnce, CancellationToken = cancel }, async (index, token) =>
        {
            var word = delivery.Word + ".room";
            var order = new OrderGiven(delivery.Attempt.Order(word, index), (int)delivery.Deadline.TotalSeconds, room);
            if (await parts.Agents.GiveAsync(parts.Roster[index], word, order, token) is { } fault)
                failed[index] = fault;
        });
        return failed;
    }

    static async Task<ImmutableDictionary<int, Fault>> BringAsync(
        Delivery delivery, CustomBroadcastSettings settings, ImmutableArray<int> ready, string directory, CancellationToken cancel)
    {
        var (parts, image) = (delivery.Parts, delivery.Image);
        string InDirectory(string name) => Path.Combine(directory, name);
        var nodes = ready.Select(i => new CustomNode(i, parts.Roster[i].Name, parts.Roster[i].Address)).ToImmutableArray();
        await File.WriteAllLinesAsync(InDirectory("nodes"), nodes.Select(n => n.Address), cancel);
        var values = new Dictionary<string, string>
        {
            ["image"] = delivery.Path, ["nodes"] = InDirectory("nodes"), ["destination"] = AgentProtocol.WholeImagePath, ["ok"] = InDirectory("ok"), ["ko"] = InDirectory("ko"),
            ["bytes"] = image.Bytes.ToString(), ["sha256"] = image.Sha256,
        };
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        deadline.CancelAfter(delivery.Deadline);
        try
        {
            var result = await ExternalProgram.RunAsync(settings.Command[0], CustomCommand.Render(settings.Command[1..], values), deadline.Token);
            delivery.Say($"{settings.Command[0]} ended with {(result.ExitCode is { } status ? $"status {status}" : "an error before it began")} for {ready.Length} node(s)\n{result.Evidence}".Trim());
            return CustomVerdict.Of(result.ExitCode, result.Evidence, Lines(InDirectory("ok")), Lines(InDirectory("ko")), nodes);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            var late = Fault.Of(FaultCodes.BroadcastProgramFailed, $"The program that brings the image did not end within {delivery.Deadline.TotalSeconds:0} s and was stopped.", settings.Command[0]);
            return ready.ToImmutableDictionary(i => i, _ => late);
        }
    }

    static ImmutableArray<string> Lines(string path) => File.Exists(path) ? [.. File.ReadLines(path).Select(l => l.Trim()).Where(l => l.Length > 0)] : [];
}

/// <summary>A node that a program was to bring the image to.</summary>
sealed record CustomNode(int Index, string Name, string Address);

/// <summary>What a site's program says of the nodes.</summary>
static class CustomVerdict
{
    /// <summary>The nodes that have nothing, each with the reason.</summary>
    /// <param name="status">Null when the program could not be started.</param>
    /// <param name="ok">Names or addresses; when there are any, who is not among them has nothing.</param>
    /// <param name="ko">Names or addresses of those that have nothing.</param>
    public static ImmutableDictionary<int, Fault> Of(int? status, string said, ImmutableArray<string> ok, ImmutableArray<string> ko, ImmutableArray<CustomNode> nodes)
    {
        var failed = ImmutableDictionary.CreateBuilder<int, Fault>();
        foreach (var node in nodes)
        {
            if (Why(status, ok, ko, node) is { } why)
                failed[node.Index] = Fault.Of(FaultCodes.BroadcastProgramFailed, why, said.Length > 0 ? said : null);
        }
        return failed.ToImmutable();
    }

    static string? Why(int? status, ImmutableArray<string> ok, ImmutableArray<string> ko, CustomNode node) =>
        status is null ? "The program that brings the image could not be started."
        : Has(ko, node) ? "The program that brings the image has failed for this node."
        : ok.IsEmpty ? status == 0 ? null : $"The program that brings the image ended with status {status} and named no node that has it."
        : Has(ok, node) ? null : "The program that brings the image did not name this node among those that have it.";

    static bool Has(ImmutableArray<string> lines, CustomNode node) => lines.Contains(node.Name) || lines.Contains(node.Address);
}

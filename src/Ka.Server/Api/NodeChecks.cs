using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Drivers.Systems;
using Ka.Protocol.Agents;
using Ka.Protocol.Manifests;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/nodes/verify</c>: whether running nodes are still what was deployed. Reads only; the agent comes and goes by ssh.</summary>
public static class NodeChecks
{
    /// <summary>Nodes that are read at once: each is sent the agent and its manifest.</summary>
    const int Window = 16;

    /// <summary>For one node: a full check reads its whole root.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(30);

    const string Script = "trap 'rm -rf \"$PWD\"' EXIT\n./ka-agent verify --root / --manifest manifest --elsewhere elsewhere --mode ";

    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/nodes/verify", PostAsync)
        .Needs(Audience.Users, Right.Deploy)
        .Accepts<VerifyBody>("application/json").Produces<ImmutableArray<NodeVerifyReply>>();

    static async Task<IResult> PostAsync(
        HttpRequest request, Requester who, NodeRights rights, Site site, NodeTable table, EnvironmentCatalogue catalogue, FileStore files, SiteKeys keys, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.VerifyBody, cancel);
        if (body is null)
            return refusal!;
        if (NodeUse.Selected(body.Nodes, site, out var set) is { } noNodes)
            return noNodes;
        ClusterNode[] nodes = [.. set.Select(n => site.Find(n.Value)!.Value.Node)];
        if (rights.Refusal(who.Caller, nodes, _ => PartitionNeed.Nothing) is { } denied)
            return Problems.Of(denied);
        if (body.Mode is not ("sample" or "full"))
            return Problems.Of(Fault.Of(FaultCodes.RequestInvalid, "mode is sample or full"));
        if (AgentProgram.At(site) is not { } agent)
            return AgentProgram.Missing(StatusCodes.Status503ServiceUnavailable);
        var states = table.States();
        var ssh = new SshSystem(keys.ClientKeyFile, site.Configuration.StateDirectory);
        var replies = await Windows.AskAsync(nodes, Window, node => CheckAsync(node, states.GetValueOrDefault(node.Name)), cancel);
        return Results.Json(replies, RestJson.Default.ImmutableArrayNodeVerifyReply);

        async Task<NodeVerifyReply> CheckAsync(ClusterNode node, NodeState? state)
        {
            if (state is not { State: "deployed", Environment: { } deployed } || Registered(catalogue, deployed) is not { } environment)
                return Unknown(node, state?.Environment, Fault.Of(FaultCodes.ManifestMissing, "the node is not known to run an environment of this catalogue"));
            if (environment.Image.Kind != ImageKind.Tar)
                return Unknown(node, deployed, Fault.Of(FaultCodes.ManifestMissing, "a disk image has no list of files to compare with"));
            var (manifest, fault) = await Task.Run(() => FileManifests.FindOrMake(files, environment.Image, cancel), cancel);
            if (manifest is null)
                return Unknown(node, deployed, fault!);
            ImmutableArray<SystemFile> sent =
            [
                new("ka-agent", agent, null), new("manifest", files.PathOf(manifest), null),
                new("elsewhere", null, string.Concat(ImageLayouts.FilledElsewhere(environment, node.Layout).Concat(environment.Files.Select(f => f.Path)).Select(p => p + "\n"))), new("go", null, Script + body.Mode + "\n"),
            ];
            var system = new SystemAddress(node.Name, node.Address, table.RecentFacts(node.Name, "hostKey", ""), keys.AuthorityKey);
            using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            late.CancelAfter(Patience);
            var (ended, unreached) = await ssh.AskAsync(system, sent, late.Token);
            return ended switch
            {
                null => Unknown(node, deployed, unreached!),
                { ExitCode: 0 or 1 } when Report(ended.Output) is { } report => new NodeVerifyReply(
                    node.Name, deployed, report.Same ? "same" : "changed", report.Compared, report.Read, report.Differing, [.. report.Differences.Select(d => d.ToString())], null, null),
                _ => Unknown(node, deployed, Fault.Of(FaultCodes.SystemRefused, $"the check ended with status {ended.ExitCode}", ended.Evidence)),
            };
        }
    }

    static OsEnvironment? Registered(EnvironmentCatalogue catalogue, string deployed) =>
        deployed.Split(':', 2) is [var name, var version] && int.TryParse(version, out var number) ? catalogue.Find(name, number) : null;

    static VerifyReport? Report(string output)
    {
        try
        {
            return JsonSerializer.Deserialize(output, VerifyJson.Default.VerifyReport);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    static NodeVerifyReply Unknown(ClusterNode node, string? environment, Fault fault) =>
        new(node.Name, environment, "unknown", 0, 0, 0, [], fault.Code.Text, fault.Evidence is { } evidence ? $"{fault.Message}: {evidence}" : fault.Message);
}

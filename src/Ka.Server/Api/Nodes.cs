using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Agents;
using Ka.Server.Boot;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>Which nodes are listed, and what of them.</summary>
/// <param name="Environment"><c>NAME</c> or <c>NAME:VERSION</c> that was last deployed.</param>
/// <param name="Fields">Members of the rows, separated by commas; null for all.</param>
public sealed record NodeQuery(string? Nodes, string? Cluster, string? State, string? Environment, bool? Drained, string? Fields);

/// <summary><c>/api/v1/nodes</c>: what the configuration says and what was seen.</summary>
public static class Nodes
{
    internal const string Path = "/api/v1/nodes";

    /// <summary>Nodes on one page.</summary>
    const int MostNodes = 10_000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<NodeReply>>().Tagged();
        routes.MapGet("/api/v1/nodes/{name}", Show).Needs(Audience.Users, Right.View).Produces<NodeReply>().Tagged();
        routes.MapGet("/api/v1/nodes/{name}/key", Key).Needs(Audience.Users, Right.Admin).Produces<NodeKeyReply>();
        routes.MapDelete("/api/v1/nodes/boot-profile", ForgetProfiles).Needs(Audience.Users, Right.Deploy).Produces<ForgottenReply>();
        routes.MapGet("/api/v1/nodes/{name}/ssh", Ssh).Needs(Audience.Users, Right.View).Produces<NodeSshReply>();
    }

    /// <summary>By what a node is recognised: whoever may see it may reach it without a warning.</summary>
    static IResult Ssh(string name, Site site, NodeTable table, SiteKeys keys) =>
        site.Find(name) is { } found
            ? Results.Json(
                new NodeSshReply(found.Node.Name, found.Node.Address, table.RecentFacts(found.Node.Name, "hostKey", ""), keys.AuthorityKey), RestJson.Default.NodeSshReply)
            : Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"there is no node '{Core.Documents.DocumentError.Cut(name)}'"));

    /// <summary>Reads a node set of this site's nodes; the answer when it is none.</summary>
    internal static IResult? Refuse(string words, Site site, out NodeSet set)
    {
        if (!NodeSet.TryParse(words, site.NodeSets, out set, out var error))
            return Problems.Of(Fault.Of(FaultCodes.NodesInvalid, $"node set: {error}"));
        return set.IsSubsetOf(site.AllNodes)
            ? null
            : Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"no cluster of this server has {set - site.AllNodes}"));
    }

    static IResult List(
        [AsParameters] NodeQuery query, [AsParameters] PageQuery part, Site site, NodeTable table, OutOfUseTable outOfUse, WorkflowTable workflows, AgentHub hub, HttpContext context)
    {
        var (page, wrong) = Page.Read(part, "nodes", MostNodes, MostNodes);
        if (page is null)
            return wrong!;
        var set = site.AllNodes;
        if (query.Nodes is not null && Refuse(query.Nodes, site, out set) is { } refusal)
            return refusal;
        var names = set.AsEnumerable();
        if (page.After is { } after)
        {
            if (!set.Any(n => n.Value == after))
                return Page.Refuse("cursor", "'cursor' is after a node that is not in the list any more: begin anew", after);
            names = names.SkipWhile(n => n.Value != after).Skip(1);
        }
        var rows = Replies(names, site, table, outOfUse, workflows, hub, withInventory: false).Where(n =>
            (query.Cluster is null || n.Cluster == query.Cluster) && (query.State is null || n.State == query.State) && (query.Drained is null || n.Drained is not null == query.Drained)
            && (query.Environment is null || n.Environment == query.Environment || n.Environment?.Split(':')[0] == query.Environment));
        return Fields.Json(page.Cut(rows, n => n.Name, context), query.Fields, RestJson.Default.ImmutableArrayNodeReply, RestJson.Default.NodeReply);
    }

    static IResult Show(string name, Site site, NodeTable table, OutOfUseTable outOfUse, WorkflowTable workflows, AgentHub hub) =>
        site.Find(name) is not null
            ? Results.Json(Replies(NodeSet.FromNames(NodeName.Parse(name)), site, table, outOfUse, workflows, hub, withInventory: true).Single(), RestJson.Default.NodeReply)
            : Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"there is no node '{Core.Documents.DocumentError.Cut(name)}'"));

    /// <summary>Lets nodes boot their local disks again in place of the profile that a deployment left.</summary>
    static IResult ForgetProfiles(string nodes, Requester who, NodeRights rights, Site site, NodeBoots boots)
    {
        if (NodeUse.Selected(nodes, site, out var set) is { } refusal)
            return refusal;
        if (rights.Refusal(who.Caller, [.. set.Select(n => site.Find(n.Value)!.Value.Node)], _ => PartitionNeed.Nothing) is { } denied)
            return Problems.Of(denied);
        var (removed, busy) = boots.ForgetProfiles([.. set.Select(n => n.Value)]);
        return busy.IsEmpty
            ? Results.Json(new ForgottenReply(removed.IsEmpty ? "" : NodeSet.FromNames(removed.Select(NodeName.Parse)).ToString(), removed.Length), RestJson.Default.ForgottenReply)
            : Problems.Of(Acceptance.Busy(busy));
    }

    /// <summary>The key of the node's encrypted disk, for who must open it at the console.</summary>
    static IResult Key(string name, Site site, ServerSecrets secrets, HttpContext context)
    {
        context.Response.Headers.CacheControl = "no-store";
        if (site.Find(name) is null)
            return Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"there is no node '{Core.Documents.DocumentError.Cut(name)}'"));
        return secrets.DiskKeys.Find(name) is { } key
            ? Results.Json(new NodeKeyReply(name, key), RestJson.Default.NodeKeyReply)
            : Problems.Of(Fault.Of(FaultCodes.NodeHasNoKey, $"{name} has no key: nothing on its disks was ever encrypted"));
    }

    static IEnumerable<NodeReply> Replies(IEnumerable<NodeName> set, Site site, NodeTable table, OutOfUseTable outOfUse, WorkflowTable workflows, AgentHub hub, bool withInventory)
    {
        var states = table.States();
        var leases = workflows.Leases();
        var drained = outOfUse.Drained();
        var profiles = table.BootProfiles().ToDictionary(p => p.Node, StringComparer.Ordinal);
        var inventories = withInventory ? table.Inventories() : ImmutableDictionary<string, string>.Empty;
        foreach (var name in set)
        {
            var (cluster, node) = site.Find(name.Value)!.Value;
            var state = states.GetValueOrDefault(node.Name);
            yield return new NodeReply(
                node.Name, cluster.Name, node.Mac, node.Address, node.Firmware, node.Rack, node.Power.Kind, state?.State ?? "unknown", state?.Environment,
                leases.GetValueOrDefault(node.Name), state?.Fault?.Code.Text, hub.IsConnected(node.Name), state?.At,
                inventories.TryGetValue(node.Name, out var document) ? JsonDocument.Parse(document).RootElement : null)
            {
                Drained = drained.GetValueOrDefault(node.Name) is { } why ? new OutOfUseReply(why.Reason, why.By, why.At) : null,
                BootProfile = profiles.GetValueOrDefault(node.Name) is { } p ? new NodeProfileReply(p.Workflow, p.Kernel, p.Initrd, p.Params) : null,
            };
        }
    }
}

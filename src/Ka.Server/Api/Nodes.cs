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

/// <summary><c>/api/v1/nodes</c>: what the configuration says and what was seen.</summary>
public static class Nodes
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/nodes", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<NodeReply>>();
        routes.MapGet("/api/v1/nodes/{name}", Show).Needs(Audience.Users, Right.View).Produces<NodeReply>();
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

    static IResult List(string? nodes, Site site, NodeTable table, OutOfUseTable outOfUse, WorkflowTable workflows, AgentHub hub)
    {
        var set = site.AllNodes;
        if (nodes is not null)
        {
            if (Refuse(nodes, site, out set) is { } refusal)
                return refusal;
        }
        return Results.Json(Replies(set, site, table, outOfUse, workflows, hub, withInventory: false).ToImmutableArray(), RestJson.Default.ImmutableArrayNodeReply);
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

    static IEnumerable<NodeReply> Replies(NodeSet set, Site site, NodeTable table, OutOfUseTable outOfUse, WorkflowTable workflows, AgentHub hub, bool withInventory)
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

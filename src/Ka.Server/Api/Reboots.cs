using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/reboots</c>: into what is on the disk, a given environment, the minimal environment, or a profile.</summary>
public static class Reboots
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/reboots", PostAsync)
        .Needs(Audience.Users, Right.Deploy)
        .Accepts<RebootBody>("application/json").Produces<OperationReply>(StatusCodes.Status201Created).OnceByKey();

    static async Task<IResult> PostAsync(
        HttpRequest request, Requester who, NodeRights rights, Site site, EnvironmentCatalogue catalogue, NodeTable nodes, FileStore files, FileRights own, Acceptance acceptance, TimeProvider clock,
        CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.RebootBody, cancel);
        if (body is null)
            return refusal!;
        var faults = new List<Fault>();
        var (cluster, set) = Deployments.FindNodes(site, body.Nodes, faults);
        Deployments.CheckKeys(body.AuthorizedKeys, faults);
        var to = ReadTarget(body, faults);
        var level = Levels.Read(body.Level, faults);
        var environment = body.Environment is { } name ? Deployments.FindEnvironment(catalogue, who.Caller, name, faults) : null;
        var vlan = DeployChoices.Vlan(body.Vlan, site.Configuration.Vlan, faults);
        if (to == RebootTarget.Minimal && body.Vlan is not null)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, "the minimal environment is reached where nodes are deployed, so 'vlan' goes with every other reboot only"));
        var profile = body.BootProfile is { } document ? DeployChoices.Profile(own.Only(who.Caller, document), files, faults) : null;
        if (faults.Count > 0)
            return Problems.Of(faults);
        if (Access.Denied(rights, who.Caller, cluster!, _ => PartitionNeed.Nothing, body.Drained) is { } denied)
            return Problems.Of(denied);
        var states = nodes.States();
        if (environment is not null && NotThere(set!, environment, states) is { } elsewhere)
            faults.Add(elsewhere);
        if (body.CheckDestructive && Destructive(set!, states, catalogue) is { } destructive)
            faults.Add(destructive);
        if (profile is not null)
            CheckProfile(profile, cluster!, environment ?? OsEnvironment.None, faults);
        if (to == RebootTarget.Minimal && site.MinimalFault() is { } missing)
            faults.Add(missing);
        if (faults.Count > 0)
            return Problems.Of(faults);
        var workflow = new Workflow(
            Ids.New("R", request), WorkflowKind.Reboot, who.Caller.Name, environment ?? OsEnvironment.None, cluster!, body.AuthorizedKeys.IsDefault ? [] : body.AuthorizedKeys, clock.GetUtcNow())
        {
            Options = DeployOptions.Default with { Profile = profile, Vlan = vlan },
            Reboot = new RebootWish(to, level),
        };
        return await acceptance.AcceptAsync(workflow, body.DryRun, cancel, body.Drained);
    }

    static RebootTarget ReadTarget(RebootBody body, List<Fault> faults)
    {
        var to = body.To ?? (body.BootProfile is not null ? "profile" : body.Environment is not null ? "environment" : "disk");
        if (to == "environment" != body.Environment is not null)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, "'environment' goes with a reboot to an environment, and only with it"));
        if (to == "profile" != body.BootProfile is not null)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, "'bootProfile' goes with a reboot to a profile, and only with it"));
        if (to != "minimal" && !body.AuthorizedKeys.IsDefaultOrEmpty)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, "ssh keys go into the minimal environment, and nowhere else at a reboot"));
        switch (to)
        {
            case "disk" or "environment":
                return RebootTarget.Disk;
            case "minimal":
                return RebootTarget.Minimal;
            case "profile":
                return RebootTarget.Profile;
            default:
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(to)}' is nothing to boot: disk, environment, minimal or profile is expected"));
                return RebootTarget.Disk;
        }
    }

    static Fault? NotThere(NodeSet set, OsEnvironment environment, ImmutableDictionary<string, NodeState> states)
    {
        var wanted = $"{environment.Name}:{environment.Version}";
        var others = set.Where(n => states.GetValueOrDefault(n.Value) is not { } state || state.Environment != wanted || state.State is "failed" or "deploying").ToArray();
        return others.Length == 0 ? null : Fault.Of(FaultCodes.RebootNotDeployed, $"{wanted} is not what was last deployed on {NodeSet.FromNames(others)}");
    }

    /// <summary>Nodes whose last environment may have destroyed what others need. One that the catalogue no longer has counts as such.</summary>
    static Fault? Destructive(NodeSet set, ImmutableDictionary<string, NodeState> states, EnvironmentCatalogue catalogue)
    {
        var all = catalogue.All().ToDictionary(e => $"{e.Name}:{e.Version}", e => e.Destructive, StringComparer.Ordinal);
        var found = set.Where(n => states.GetValueOrDefault(n.Value)?.Environment is { } last && all.GetValueOrDefault(last, true)).ToArray();
        return found.Length == 0 ? null : Fault.Of(
            FaultCodes.RebootDestructive, $"the last environment on {NodeSet.FromNames(found)} is destructive, or no longer known",
            string.Join('\n', found.GroupBy(n => states[n.Value].Environment).Select(g => $"{NodeSet.FromNames(g)}: {g.Key}")));
    }

    static void CheckProfile(Ka.Core.BootProfiles.ProfileTemplate profile, Cluster cluster, OsEnvironment environment, List<Fault> faults)
    {
        var wrong = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in cluster.Nodes)
            if (!profile.TryRender(TemplateValues.Of(node, cluster, environment), out _, out var errors))
                foreach (var error in errors.Where(wrong.Add))
                    faults.Add(Fault.Of(FaultCodes.ProfileInvalid, error, $"on {node.Name}"));
    }
}

/// <summary>The words for levels of escalation.</summary>
static class Levels
{
    public static Level Read(string? word, List<Fault> faults)
    {
        if (word is null or "soft")
            return Level.Soft;
        if (word is "hard")
            return Level.Hard;
        if (word is not "very-hard")
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(word)}' is no level: soft, hard or very-hard is expected"));
        return Level.VeryHard;
    }
}

using System.Collections.Immutable;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Core.BootProfiles;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Engine.Planning;
using Ka.Engine.Workflows;
using Ka.Protocol.Agents;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/deployments</c>: the request, its rules, and the reply.</summary>
public static partial class Deployments
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/deployments", PostAsync)
            .Needs(Audience.Users, Right.Deploy)
            .Accepts<DeployBody>("application/json").Produces<OperationReply>(StatusCodes.Status201Created).Produces<PlanReply>().OnceByKey();
        MapFiles(routes, "/api/v1/deployments/files", FaultCodes.OperationInvalid, (file, text) =>
        {
            var (reading, errors) = OperationsReader.ReadDocument(file, text);
            return (reading?.Operations.Select(o => o.File).OfType<string>().Distinct(), errors);
        });
        MapFiles(routes, "/api/v1/deployments/boot-profile/files", FaultCodes.ProfileInvalid, (file, text) =>
        {
            var (reading, errors) = BootProfileReader.Read(file, text);
            return (reading?.Paths, errors);
        });
    }

    /// <summary>Which files a document of a request names; the client then sends those that the store lacks.</summary>
    static void MapFiles(
        IEndpointRouteBuilder routes, string route, FaultCode code, Func<string, string, (IEnumerable<string>? Paths, ImmutableArray<DocumentError> Errors)> read) =>
        routes.MapPost(route, async (HttpRequest request, CancellationToken cancel) =>
        {
            var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.ApplyBody, cancel);
            if (body is null)
                return refusal!;
            var (paths, errors) = read(body.File, body.Text);
            return paths is null
                ? Problems.Of(StatusCodes.Status422UnprocessableEntity, code, $"{body.File} has {errors.Length} error(s)", errors, body.Text)
                : Results.Json(new DescriptionFiles("", 0, [.. paths]), RestJson.Default.DescriptionFiles);
        }).Needs(Audience.Users, Right.Deploy).Accepts<ApplyBody>("application/json").Produces<DescriptionFiles>();

    static async Task<IResult> PostAsync(
        HttpRequest request, Requester who, NodeRights rights, Site site, EnvironmentCatalogue catalogue, NodeTable nodes, AlreadyDeployed already, FileStore files, FileRights own, Acceptance acceptance,
        TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.DeployBody, cancel);
        if (body is null)
            return refusal!;
        body = body with
        {
            CustomSteps = body.CustomSteps is { } steps ? own.Only(who.Caller, steps) : null,
            BootProfile = body.BootProfile is { } profile ? own.Only(who.Caller, profile) : null,
        };
        var faults = new List<Fault>();
        var environment = FindEnvironment(catalogue, who.Caller, body.Environment, faults);
        var (cluster, set) = FindNodes(site, body.Nodes, faults);
        CheckKeys(body.AuthorizedKeys, faults);
        var verify = ReadVerify(body.Verify, faults) ?? cluster?.Verify ?? VerifyMode.Sample;
        if (faults.Count > 0)
            return Problems.Of(faults);
        PartitionNeed NeedOf(ClusterNode node) => body.CustomSteps is null ? NodeRights.NeedOf(node, environment!, !body.NoPartitioning, body.ReformatTmp is null ? null : "tmp") : PartitionNeed.WholeDisk;
        if (Access.Denied(rights, who.Caller, cluster!, NeedOf, body.Drained) is { } denied)
            return Problems.Of(denied);
        if (acceptance.Refusal(cluster!.Nodes.Select(n => n.Name), body.Drained) is { } notNow)
            return Problems.Of(notNow);
        var skipped = body.IfNeeded ? already.Of(set!, environment!) : NodeSet.Empty;
        if (skipped.Count == set!.Count)
            return Nothing(who.Caller, environment!, skipped, body.DryRun, clock.GetUtcNow());
        (cluster, set) = (cluster with { Nodes = [.. cluster.Nodes.Where(n => !skipped.Contains(NodeName.Parse(n.Name)))] }, set - skipped);
        if (!body.DryRun && set.Count > site.Configuration.AtOnceLimit && body.ConfirmNodes != set.Count)
            return Problems.Of(Fault.Of(FaultCodes.NodesProtected, $"{set.Count} nodes, more than the {site.Configuration.AtOnceLimit} that the site deploys at once without being told how many"));
        var ground = Ground(cluster!, nodes, site);
        (cluster, var broadcast) = BroadcastChoices.Settle(DeployChoices.Over(cluster!, body, files, faults), body, environment!, ground, faults);
        faults.AddRange(BroadcastChoices.Check(cluster, environment!, ground));
        var asked = new DeployRequest(environment!, cluster, cluster.Nodes, !body.AuthorizedKeys.IsDefaultOrEmpty, ground.SmallestDisk, verify)
        {
            Options = DeployChoices.Options(body, site.Configuration.Vlan, files, faults) with { Broadcast = broadcast },
        };
        var outcome = Planner.Plan(asked);
        faults.AddRange(outcome.Faults);
        if (faults.Count > 0)
            return Problems.Of(faults);
        if (body.DryRun)
            return Results.Json(Reply(asked, outcome.Plan!, set, nodes) with { Skipped = Said(skipped) }, RestJson.Default.PlanReply);
        if (site.MinimalFault() is { } missing)
            return Problems.Of(missing);
        if (verify != VerifyMode.None && environment!.Image.Kind == ImageKind.Tar && (await Task.Run(() => FileManifests.FindOrMake(files, environment!.Image, cancel), cancel)).Fault is { } noManifest)
            return Problems.Of(noManifest);
        var (frozen, unread) = await SiteScripts.KeepAsync(cluster, files, cancel);
        if (unread is not null)
            return Problems.Of(unread);
        foreach (var file in Registrar.FilesOf(environment!))
            files.Use(file);
        var workflow = new Workflow(
            Ids.New("D", request), WorkflowKind.Deploy, who.Caller.Name, environment!, frozen,
            body.AuthorizedKeys.IsDefault ? [] : body.AuthorizedKeys, clock.GetUtcNow(), verify)
        {
            Options = asked.Options,
        };
        return await acceptance.AcceptAsync(workflow, dryRun: false, cancel, body.Drained, Said(skipped));
    }

    internal static OsEnvironment? FindEnvironment(EnvironmentCatalogue catalogue, Caller caller, string text, List<Fault> faults)
    {
        var parts = text.Split(':', 2);
        int? version = null;
        if (parts.Length == 2)
        {
            if (!int.TryParse(parts[1], out var number))
            {
                faults.Add(Fault.Of(FaultCodes.EnvironmentUnknown, $"'{DocumentError.Cut(text)}' is no environment: NAME or NAME:VERSION is expected"));
                return null;
            }
            version = number;
        }
        var found = catalogue.FindFor(caller, parts[0], version);
        if (found is null)
        {
            var near = Suggestion.Nearest(parts[0], catalogue.All().Where(caller.Sees).Select(e => e.Name).Distinct());
            faults.Add(Fault.Of(
                FaultCodes.EnvironmentUnknown,
                $"there is no environment '{DocumentError.Cut(text)}'" + (near is null || near == parts[0] ? "" : $"; did you mean '{near}'?")));
        }
        return found;
    }

    /// <summary>The nodes' cluster, with only these nodes, racks together.</summary>
    internal static (Cluster?, NodeSet?) FindNodes(Site site, string text, List<Fault> faults)
    {
        if (!NodeSet.TryParse(text, site.NodeSets, out var set, out var error))
        {
            faults.Add(Fault.Of(
                error.Code == "nodeset.too_many" ? FaultCodes.NodesTooMany : FaultCodes.NodesInvalid,
                $"node set: {error.Message} at character {error.Position + 1}: '{error.Offending}'" + (error.Expected is null ? "" : $", expected {error.Expected}")));
            return (null, null);
        }
        if (set.IsEmpty)
            faults.Add(Fault.Of(FaultCodes.NodesEmpty, $"the node set '{DocumentError.Cut(text)}' is empty"));
        if (!set.IsSubsetOf(site.AllNodes))
            faults.Add(Fault.Of(FaultCodes.NodesUnknown, $"no cluster of this server has {DocumentError.Cut((set - site.AllNodes).ToString())}", $"known: {DocumentError.Cut(site.AllNodes.ToString())}"));
        if (faults.Any(f => f.Code == FaultCodes.NodesEmpty || f.Code == FaultCodes.NodesUnknown))
            return (null, null);
        var names = set.Select(n => n.Value).ToHashSet(StringComparer.Ordinal);
        var clusters = site.Configuration.Clusters.Where(c => c.Nodes.Any(n => names.Contains(n.Name))).ToArray();
        if (clusters.Length > 1)
        {
            faults.Add(Fault.Of(FaultCodes.NodesMixedClusters, $"the nodes belong to {string.Join(" and ", clusters.Select(c => c.Name))}"));
            return (null, null);
        }
        var place = set.Select((n, i) => (n.Value, i)).ToDictionary(p => p.Value, p => p.i);
        var chosen = clusters[0].Nodes.Where(n => names.Contains(n.Name)).OrderBy(n => n.Rack ?? "", StringComparer.Ordinal).ThenBy(n => place[n.Name]);
        return (clusters[0] with { Nodes = [.. chosen] }, set);
    }

    static VerifyMode? ReadVerify(string? text, List<Fault> faults)
    {
        switch (text)
        {
            case null:
                return null;
            case "none":
                return VerifyMode.None;
            case "sample":
                return VerifyMode.Sample;
            case "full":
                return VerifyMode.Full;
            default:
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(text)}' is no way to verify: none, sample or full is expected"));
                return null;
        }
    }

    internal static void CheckKeys(ImmutableArray<string> keys, List<Fault> faults)
    {
        if (keys.IsDefaultOrEmpty)
            return;
        if (keys.Length > 1000)
        {
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"{keys.Length} ssh keys, more than 1000"));
            return;
        }
        for (var i = 0; i < keys.Length; i++)
            if (keys[i].Length > 16_384 || keys[i].Any(char.IsControl) || !PublicKey().IsMatch(keys[i]))
                faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"line {i + 1} of the keys is no public ssh key: '{DocumentError.Cut(keys[i])}'"));
    }

    static PlanReply Reply(DeployRequest asked, Engine.Automata.Plan plan, NodeSet set, NodeTable nodes) => new(
        $"{asked.Environment.Name}:{asked.Environment.Version}", asked.Environment.Image.Sha256, asked.Environment.Image.Bytes, asked.Environment.Image.UnpackedBytes,
        set.ToString(), set.Count,
        [.. plan.MacroSteps.Select(m => new PlannedMacroStep(m.Name, [.. m.Strategies.Select(s => new PlannedStrategy(
            s.Name, s.Retries, [.. s.Steps.Select(x => new PlannedStep(x.Name, x.TurnTimeout.TotalSeconds))]))]))],
        asked.Needs.WholeDisk ? [$"{set}: the disk of each node whole; it gets the image's own partitions"] : PlannedDisks.Of(asked.Nodes, nodes.Inventories()),
        plan.Breakpoint)
    {
        LeftOut = asked.Options.Profile is null ? asked.Needs.LeftOut : asked.Needs.LeftOut.Add("kexec at the end: the boot profile comes from the network"),
        BootProfile = asked.Options.Profile is { } profile ? Planned(profile, asked) : null,
        Broadcast = Said(asked.Options.Broadcast),
    };

    /// <summary>The reply when every node has the environment already.</summary>
    static IResult Nothing(Caller caller, OsEnvironment environment, NodeSet skipped, bool dryRun, DateTimeOffset now) => dryRun
        ? Results.Json(
            new PlanReply(environment.Word, environment.Image.Sha256, environment.Image.Bytes, environment.Image.UnpackedBytes, "", 0, [], []) { Skipped = Said(skipped) }, RestJson.Default.PlanReply)
        : Results.Json(
            new OperationReply("", "deploy", caller.Name, "done", environment.Word, "", 0, "", "", now, now, 0, [], []) { Wish = environment.Word, Skipped = Said(skipped) },
            RestJson.Default.OperationReply);

    static string? Said(NodeSet skipped) => skipped.IsEmpty ? null : skipped.ToString();

    /// <summary>The way to broadcast and why it is taken, in one line.</summary>
    internal static string? Said(BroadcastChoice? choice) => choice is null ? null : $"{choice.Way} ({choice.Why})";

    static PlannedProfile Planned(ProfileTemplate profile, DeployRequest asked)
    {
        profile.TryRender(TemplateValues.Of(asked.Nodes[0], asked.Cluster, asked.Environment), out var line, out _);
        return new PlannedProfile(profile.File, Of(profile.Kernel)!, Of(profile.Initrd), asked.Nodes[0].Name, line.ToString());

        static PlannedFile? Of(ProfileFile? file) => file is null ? null : new PlannedFile(file.Path, file.Sha256, file.Bytes);
    }

    /// <summary>What is known of the nodes that have been seen.</summary>
    static BroadcastGround Ground(Cluster cluster, NodeTable nodes, Site site)
    {
        var inventories = nodes.Inventories();
        var (memory, disk, link) = ((long?)null, (long?)null, (double?)null);
        foreach (var node in cluster.Nodes)
        {
            if (!inventories.TryGetValue(node.Name, out var document) || JsonSerializer.Deserialize(document, AgentJson.Default.NodeInventory) is not { } inventory)
                continue;
            if (inventory.MemoryBytes > 0)
                memory = Math.Min(memory ?? long.MaxValue, inventory.MemoryBytes);
            var seen = inventory.Disks.Select(d => new DiskFacts(d.Name, d.Path, d.Bus, d.Bytes, d.Model, d.Serial));
            if (DiskSelection.TryChoose(node.Disk, seen, out var chosen, out _))
                disk = Math.Min(disk ?? long.MaxValue, chosen.Bytes);
            if (inventory.Nics.FirstOrDefault(n => n.Mac == node.Mac)?.SpeedMegabits is > 0 and var speed)
                link = Math.Min(link ?? double.MaxValue, speed * 1e6);
        }
        return new BroadcastGround(memory, disk, File.Exists(site.TorrentTools), link);
    }

    [GeneratedRegex(@"^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+={0,3}( .*)?$")]
    private static partial Regex PublicKey();
}

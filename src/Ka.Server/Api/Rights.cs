using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/rights</c>: who may work on which nodes, and why.</summary>
public static class Rights
{
    /// <summary>Most partitions of one rule.</summary>
    const int PartitionLimit = 64;

    /// <summary>Rules on one page.</summary>
    const int UsualRules = 1000, MostRules = 10_000;

    static readonly string[] Actions = ["deploy", "reboot", "power", "console"];

    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/api/v1/rights");
        group.MapGet("", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<GrantReply>>();
        group.MapGet("check", Check).Needs(Audience.Users, Right.View).Produces<CheckReply>();
        group.MapPost("", GrantAsync).Needs(Audience.Users, Right.Admin).Accepts<GrantBody>("application/json").Produces<GrantedReply>(StatusCodes.Status201Created).OnceByKey();
        group.MapDelete("{id}", RevokeOne).Needs(Audience.Users, Right.Admin).Produces<RevokedReply>();
        group.MapDelete("", Revoke).Needs(Audience.Users, Right.Admin).Produces<RevokedReply>();
    }

    /// <summary>Those that concern the caller; all of them for operators.</summary>
    static IResult List(string? subject, string? source, bool? ended, [AsParameters] PageQuery query, Requester who, GrantTable grants, TimeProvider clock, HttpContext context)
    {
        var (page, refusal) = Page.Read(query, "rights", UsualRules, MostRules);
        if (page is null)
            return refusal!;
        var now = clock.GetUtcNow();
        var wanted = grants.All(ended == true)
            .Where(g => who.Caller.Role >= Role.Operator || g.IsFor(who.Caller))
            .Where(g => (subject is null || g.Subject == subject) && (source is null || g.Source == source) && (ended == true || !(g.Until <= now)))
            .OrderBy(Place, StringComparer.Ordinal).Where(g => page.After is null || string.CompareOrdinal(Place(g), page.After) > 0);
        return Results.Json(page.Cut(wanted, Place, context).Select(g => Reply(g, now)).ToImmutableArray(), RestJson.Default.ImmutableArrayGrantReply);

        static string Place(Grant g) => $"{g.GrantedAt.ToUnixTimeMilliseconds():D15} {g.Id}";
    }

    static IResult Check(string? subject, string nodes, string? action, string? partition, Requester who, GrantTable grants, Authentication people, Site site, TimeProvider clock)
    {
        if (subject is not null && subject != who.Caller.Name && who.Caller.Role < Role.Operator)
            return Problems.Of(Access.TooLow(who.Caller, Role.Operator));
        if (subject is not null && !PartitionWords.IsUser(subject))
            return Refuse($"'{DocumentError.Cut(subject)}' is no login name");
        action ??= "deploy";
        if (!Actions.Contains(action))
            return Refuse($"'{DocumentError.Cut(action)}' is no action: {string.Join(", ", Actions)} is expected");
        if (partition is not null && !PartitionWords.IsPartition(partition))
            return Refuse($"'{DocumentError.Cut(partition)}' is no partition");
        if (NodeUse.Selected(nodes, site, out var set) is { } refusal)
            return refusal;
        var caller = subject is null || subject == who.Caller.Name ? who.Caller : people.Of(subject, "asked");
        var need = partition is not null ? new PartitionNeed([new PartitionRef(partition, PartitionWords.NumberOf(partition) ?? 0)])
            : action == "deploy" ? PartitionNeed.WholeDisk : PartitionNeed.Nothing;
        var verdict = NodeRules.Decide(caller, set, need, grants.All(), clock.GetUtcNow());
        return Results.Json(
            new CheckReply(
                caller.Name, caller.Role.Word(), action, verdict.Allowed, verdict.Denied.IsEmpty ? "" : verdict.Denied.ToString(),
                [.. verdict.Parts.Select(p => new CheckPart(p.Nodes.ToString(), p.Allowed, p.Rule, p.Reason))]),
            RestJson.Default.CheckReply);
    }

    static async Task<IResult> GrantAsync(HttpRequest request, Requester who, GrantTable grants, Site site, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.GrantBody, cancel);
        if (body is null)
            return refusal!;
        var partitions = body.Partitions.IsDefault || body.Partitions is ["*"] ? [] : body.Partitions;
        var now = clock.GetUtcNow();
        if (Invalid(body, partitions, now) is { } why)
            return Refuse(why);
        NodeSet? set = null;
        if (body.Nodes != "*" && NodeUse.Selected(body.Nodes, site, out set) is { } noNodes)
            return noNodes;
        var grant = new Grant(Ids.New("G"), body.Subject, set, partitions, body.From, body.Until, body.Source, who.Caller.Name, now);
        if (grants.All().FirstOrDefault(g => Same(g, grant)) is { } same)
            return Results.Json(new GrantedReply("unchanged", Reply(same, now), []), RestJson.Default.GrantedReply);
        var overwritten = body.Others == "overwrite" ? grants.All().Where(g => Conflicts(g, grant, now)).ToImmutableArray() : [];
        grants.Revoke(overwritten.Select(g => (g, Rest(g, set, who.Caller.Name, now))), who.Caller.Name, now);
        var others = grants.Add(grant, body.Others == "refuse" ? g => Conflicts(g, grant, now) : null);
        return others.IsEmpty
            ? Results.Json(new GrantedReply("created", Reply(grant, now), [.. overwritten.Select(g => g.Id)]), RestJson.Default.GrantedReply, statusCode: StatusCodes.Status201Created)
            : Problems.Of(Fault.Of(FaultCodes.RightsConflict, string.Join("; ", others.Select(g => $"{g.Subject} has {g}"))));
    }

    static string? Invalid(GrantBody body, ImmutableArray<string> partitions, DateTimeOffset now) =>
        !PartitionWords.IsSubject(body.Subject) ? $"'{DocumentError.Cut(body.Subject)}' is nobody: a login name, @GROUP or * is expected"
        : body.Source is { } source && !PartitionWords.IsSource(source) ? $"'{DocumentError.Cut(source)}' is no source: KIND:NAME is expected, as in job:48213"
        : partitions.Length > PartitionLimit ? $"more than {PartitionLimit} partitions"
        : partitions.FirstOrDefault(p => !PartitionWords.IsPartition(p)) is { } wrong ? $"'{DocumentError.Cut(wrong)}' is no partition: a name of the layout, a number or /dev/sda3 is expected"
        : body.Until <= now ? $"'until' is {body.Until:O}, which is past"
        : body.From >= body.Until ? "'from' is not before 'until'"
        : body.Others is null or "share" or "refuse" or "overwrite" ? null
        : $"'{DocumentError.Cut(body.Others)}' is not share, refuse or overwrite";

    static bool Same(Grant a, Grant b) => a.Subject == b.Subject && a.Nodes == b.Nodes && a.From == b.From && a.Until == b.Until && a.Source == b.Source && a.Partitions.SequenceEqual(b.Partitions);

    static bool Conflicts(Grant a, Grant b, DateTimeOffset now) =>
        a.Subject != b.Subject && !(a.Until <= now) && !(a.Until <= b.From) && !(b.Until <= a.From) && (a.Nodes is null || b.Nodes is null || a.Nodes.Overlaps(b.Nodes));

    /// <summary>What stays of a rule when nodes are taken out of it; null for nothing. A rule on every node goes whole.</summary>
    static Grant? Rest(Grant grant, NodeSet? taken, string by, DateTimeOffset now) =>
        grant.Nodes is { } nodes && taken is not null && nodes - taken is { IsEmpty: false } rest ? grant with { Id = Ids.New("G"), Nodes = rest, GrantedBy = by, GrantedAt = now } : null;

    static IResult RevokeOne(string id, Requester who, GrantTable grants, WorkflowHost host, TimeProvider clock) =>
        grants.All().FirstOrDefault(g => g.Id == id) is { } found
            ? TakeBack([(found, null)], found.Nodes, who, grants, host, clock)
            : Problems.Of(Fault.Of(FaultCodes.RightsUnknown, $"there is no rule '{DocumentError.Cut(id)}'"));

    /// <summary>By whom, nodes, source, or several of these; never everything.</summary>
    static IResult Revoke(string? subject, string? nodes, string? source, Requester who, GrantTable grants, WorkflowHost host, Site site, TimeProvider clock)
    {
        if (subject is null && source is null)
            return Refuse("say whose right ends (subject), or for which source");
        NodeSet? set = null;
        if (nodes is not null and not "*" && Nodes.Refuse(nodes, site, out set) is { } refusal)
            return refusal;
        var now = clock.GetUtcNow();
        var found = grants.All().Where(g => (subject is null || g.Subject == subject) && (source is null || g.Source == source) && (set is null || g.Nodes is null || g.Nodes.Overlaps(set))).ToArray();
        if (found.Length == 0)
            return Problems.Of(Fault.Of(FaultCodes.RightsUnknown, $"there is no rule for {subject ?? source}{(nodes is null ? "" : $" on {DocumentError.Cut(nodes)}")}"));
        if (set is not null && found.FirstOrDefault(g => g.Nodes is null) is { } every)
            return Problems.Of(Fault.Of(FaultCodes.RightsConflict, $"{every} is for every node: nodes cannot be taken out of it, revoke {every.Id} itself"));
        return TakeBack([.. found.Select(g => (g, Rest(g, set, who.Caller.Name, now)))], set, who, grants, host, clock);
    }

    static IResult TakeBack(ImmutableArray<(Grant Grant, Grant? Remainder)> changes, NodeSet? nodes, Requester who, GrantTable grants, WorkflowHost host, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        grants.Revoke(changes, who.Caller.Name, now);
        var subjects = changes.Select(c => c.Grant.Subject).ToHashSet(StringComparer.Ordinal);
        var touched = host.Running.Where(w => subjects.Contains(w.Owner) && (nodes is null || w.NodeNames.Any(n => nodes.Contains(NodeName.Parse(n))))).Select(w => w.Id);
        return Results.Json(
            new RevokedReply([.. changes.Select(c => Reply(c.Grant with { RevokedAt = now, RevokedBy = who.Caller.Name }, now))], [.. touched.Order(StringComparer.Ordinal)]), RestJson.Default.RevokedReply);
    }

    static IResult Refuse(string why) => Problems.Of(Fault.Of(FaultCodes.RightsInvalid, why));

    static GrantReply Reply(Grant g, DateTimeOffset now) => new(
        g.Id, g.Subject, g.Nodes?.ToString() ?? "*", g.Partitions, g.From, g.Until, g.Source, g.GrantedBy, g.GrantedAt, g.RevokedAt, g.RevokedBy,
        g.RevokedAt is not null ? "revoked" : g.Until <= now ? "over" : g.From > now ? "later" : "in force");
}

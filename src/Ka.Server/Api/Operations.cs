using System.Collections.Immutable;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>Which operations are listed, the newest first, and what of them.</summary>
/// <param name="Nodes">Those on any of these nodes.</param>
/// <param name="Since">Begun then or later.</param>
/// <param name="Fields">Members of the rows, separated by commas; null for all.</param>
public sealed record OperationQuery(string? State, string? Kind, string? Owner, string? Nodes, DateTimeOffset? Since, DateTimeOffset? Until, string? Fields);

/// <summary><c>/api/v1/operations</c>: list, show, watch, logs, cancel.</summary>
public static class Operations
{
    /// <summary>Entries read from the journal at once.</summary>
    const int AtOnce = 500;

    static readonly TimeSpan ProgressPeriod = TimeSpan.FromMilliseconds(500);

    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/api/v1/operations");
        group.MapGet("", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<OperationReply>>().Tagged();
        group.MapGet("{id}", Show).Needs(Audience.Users, Right.View).Produces<OperationReply>().Tagged();
        group.MapGet("{id}/events", Watch).Needs(Audience.Users, Right.View).Produces<OperationEvent>(contentType: "text/event-stream");
        group.MapGet("{id}/logs", Logs).Needs(Audience.Users, Right.View).Produces<ImmutableArray<LogLine>>();
        group.MapPost("{id}/cancel", Cancel).Needs(Audience.Users, Right.Deploy).Produces<OperationReply>(StatusCodes.Status202Accepted);
    }

    static IResult List([AsParameters] OperationQuery query, [AsParameters] PageQuery part, Site site, WorkflowTable workflows, Journal journal, HttpContext context)
    {
        var (page, wrong) = Page.Read(part, "operations", 50, 1000);
        if (page is null)
            return wrong!;
        NodeSet? set = null;
        if (query.Nodes is { } words && Nodes.Refuse(words, site, out set) is { } refusal)
            return refusal;
        (DateTimeOffset At, string Id)? last = null;
        if (page.After is { } after && (last = Place(after)) is null)
            return Page.Refuse("cursor", "'cursor' is none that this list gave", part.Cursor);
        var found = workflows.Read(new WorkflowFilter(query.State, query.Kind, query.Owner, query.Since, query.Until, last?.At, last?.Id));
        var rows = page.Cut(
            found.Where(w => set is null || w.Workflow.NodeNames.Any(n => set.Contains(NodeName.Parse(n)))), w => $"{w.Workflow.CreatedAt.ToUnixTimeMilliseconds()} {w.Workflow.Id}", context);
        return Fields.Json(
            [.. rows.Select(w => Reply(w, Folded(w.Workflow, journal), _ => null, detailed: false))], query.Fields, RestJson.Default.ImmutableArrayOperationReply, RestJson.Default.OperationReply);
    }

    static (DateTimeOffset, string)? Place(string key) =>
        key.Split(' ') is [var at, var id] && long.TryParse(at, System.Globalization.NumberStyles.None, null, out var ms) && ms <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()
            ? (DateTimeOffset.FromUnixTimeMilliseconds(ms), id)
            : null;

    /// <summary>Everybody sees what runs and how it stands; what was seen on the nodes only who may see the logs.</summary>
    static IResult Show(string id, Requester who, WorkflowTable workflows, Journal journal, WorkflowHost host) => workflows.Find(id) is { } stored
        ? Results.Json(
            Reply(stored, Folded(stored.Workflow, journal), TransferOf(host, id), detailed: Owns(who.Caller, stored.Workflow) is null), RestJson.Default.OperationReply)
        : Unknown(id);

    /// <summary>Why somebody may not look into an operation or end it; null when they may.</summary>
    internal static Fault? Owns(Caller caller, Workflow workflow) => caller.Role >= Role.Operator || workflow.Owner == caller.Name
        ? null
        : Fault.Of(FaultCodes.RightsMissing, $"{workflow.Id} belongs to {workflow.Owner}");

    static IResult Logs(string id, string? node, Requester who, WorkflowTable workflows, LogTable logs) => workflows.Find(id) is { } stored
        ? Owns(who.Caller, stored.Workflow) is { } denied ? Problems.Of(denied) : Results.Json(
            logs.Read(id, node, 10_000).Select(l => new LogLine(l.At, l.Node, l.Step, l.Text)).ToImmutableArray(), RestJson.Default.ImmutableArrayLogLine)
        : Unknown(id);

    static IResult Cancel(string id, Requester who, WorkflowTable workflows, Journal journal, WorkflowHost host)
    {
        if (workflows.Find(id) is not { } stored)
            return Unknown(id);
        if (Owns(who.Caller, stored.Workflow) is { } denied)
            return Problems.Of(denied);
        // What is stored as ended may still be on its way out of the host.
        if (stored.State != WorkflowState.Running || !host.Cancel(id, who.Caller.Name))
            return Problems.Of(Fault.Of(FaultCodes.OperationEnded, $"{id} is {stored.State.ToString().ToLowerInvariant()} already"));
        return Results.Json(
            Reply(stored, Folded(stored.Workflow, journal), _ => null, detailed: false), RestJson.Default.OperationReply, statusCode: StatusCodes.Status202Accepted);
    }

    static IResult Watch(
        string id, HttpRequest request, Requester who, WorkflowTable workflows, Journal journal, WorkflowHost host, TimeProvider clock, IHostApplicationLifetime lifetime, CancellationToken cancel)
    {
        if (workflows.Find(id) is not { } stored)
            return Unknown(id);
        if (Owns(who.Caller, stored.Workflow) is { } denied)
            return Problems.Of(denied);
        var after = long.TryParse(request.Headers["Last-Event-ID"].ToString(), out var seen) ? seen : 0;
        return TypedResults.ServerSentEvents(EventsAsync(stored.Workflow, after, workflows, journal, host, clock, lifetime.ApplicationStopping, cancel));
    }

    /// <summary>Everything after <paramref name="after"/> from the journal, then what happens, to the end. Progress comes between, without an id.</summary>
    /// <param name="stopping">The stream ends before the operation does, and who watches comes back.</param>
    static async IAsyncEnumerable<SseItem<string>> EventsAsync(
        Workflow workflow, long after, WorkflowTable workflows, Journal journal, WorkflowHost host, TimeProvider clock, CancellationToken stopping, [EnumeratorCancellation] CancellationToken cancel)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, cancel);
        var fold = new OperationFold(workflow);
        while (true)
        {
            var live = host.Find(workflow.Id);
            var changed = live?.Changed;
            var page = journal.Read(workflow.Id, fold.LastSeq, AtOnce);
            foreach (var entry in page)
            {
                var happened = fold.Apply(entry);
                if (fold.Automaton.Ended)
                {
                    // The end is said when it is one: whoever hears it finds the nodes free and the state in the list.
                    await host.LeftAsync(workflow.Id, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    if (either.IsCancellationRequested || workflows.Find(workflow.Id) is { State: WorkflowState.Running })
                        yield break;
                }
                if (entry.Seq > after)
                    yield return new SseItem<string>(JsonSerializer.Serialize(happened, RestJson.Default.OperationEvent), "operation") { EventId = entry.Seq.ToString() };
            }
            if (fold.Automaton.Ended || (live is null && page.IsEmpty))
                yield break;
            if (page.Length == AtOnce)
                continue;
            var transfers = fold.Nodes(TransferOf(host, workflow.Id)).Where(n => n.Phase is not null).ToImmutableArray();
            if (!transfers.IsEmpty)
                yield return new SseItem<string>(JsonSerializer.Serialize(transfers, RestJson.Default.ImmutableArrayNodeProgress), "progress");
            await Task.WhenAny(changed ?? Task.CompletedTask, Task.Delay(ProgressPeriod, clock, either.Token));
            if (either.IsCancellationRequested)
                yield break;
        }
    }

    static Func<string, TransferState?> TransferOf(WorkflowHost host, string id)
    {
        var live = host.Find(id);
        return node => live?.Progress.Of(node);
    }

    internal static OperationFold Folded(Workflow workflow, Journal journal)
    {
        var fold = new OperationFold(workflow);
        foreach (var entry in journal.Read(workflow.Id))
            fold.Apply(entry);
        return fold;
    }

    /// <param name="detailed">With every node; else counts and sets only.</param>
    internal static OperationReply Reply(StoredWorkflow stored, OperationFold fold, Func<string, TransferState?> transferOf, bool detailed)
    {
        var workflow = stored.Workflow;
        return new OperationReply(
            workflow.Id, workflow.Kind.ToString().ToLowerInvariant(), workflow.Owner, stored.State.ToString().ToLowerInvariant(),
            workflow.Environment.Word, fold.Fold(NodeBits.Range(fold.Roster.Count)), fold.Roster.Count,
            fold.Fold(fold.Automaton.Ok), fold.Fold(fold.Automaton.Ko), workflow.CreatedAt, stored.EndedAt, fold.LastSeq,
            detailed ? [.. fold.Nodes(transferOf)] : [], detailed ? [.. fold.Failures()] : [])
        {
            Wish = Wish(workflow),
            MacroSteps = [.. fold.Plan.MacroSteps.Select(m => m.Name)],
            Breakpoint = workflow.Options.Breakpoint,
            BootProfile = workflow.Options.Profile?.File,
            Broadcast = Deployments.Said(workflow.Options.Broadcast),
        };
    }

    /// <summary>What is asked for in few words, as lists show it.</summary>
    static string Wish(Workflow workflow) => workflow.Kind switch
    {
        WorkflowKind.Deploy => workflow.Environment.Word,
        WorkflowKind.Reboot => $"reboot to {(workflow.Environment.Word is { Length: > 0 } word ? word : workflow.Reboot!.To.ToString().ToLowerInvariant())}",
        WorkflowKind.Power => $"power {workflow.Power!.Action.ToString().ToLowerInvariant()}",
    };

    internal static IResult Unknown(string id) => Problems.Of(Fault.Of(FaultCodes.OperationUnknown, $"there is no operation '{Core.Documents.DocumentError.Cut(id)}'"));
}

using System.Collections.Concurrent;
using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Drivers.Power;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Identity;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/nodes/identify</c>: the light by which a person finds a machine in its rack.</summary>
public static class ChassisLights
{
    /// <summary>Nodes that are asked at once, and how long each has.</summary>
    const int Window = 32;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>What one byte of IPMI takes.</summary>
    internal const int LongestSeconds = 255, UsualSeconds = 60;

    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/nodes/identify", PostAsync)
        .Needs(Audience.Users, Right.Deploy)
        .Accepts<IdentifyBody>("application/json").Produces<ImmutableArray<LightReply>>();

    static async Task<IResult> PostAsync(HttpRequest request, Requester who, NodeRights rights, Site site, PowerDrivers drivers, LightTimers timers, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.IdentifyBody, cancel);
        if (body is null)
            return refusal!;
        if (NodeUse.Selected(body.Nodes, site, out var set) is { } none)
            return none;
        if (body.Seconds is < 1 or > LongestSeconds || (body.Off && body.Seconds is not null))
            return Problems.Of(Fault.Of(FaultCodes.RequestInvalid, $"'seconds' is 1 to {LongestSeconds}, and does not go with 'off'"));
        ClusterNode[] nodes = [.. set.Select(n => site.Find(n.Value)!.Value.Node)];
        if (rights.Refusal(who.Caller, nodes, _ => PartitionNeed.Nothing) is { } denied)
            return Problems.Of(denied);
        TimeSpan? shine = body.Off ? null : TimeSpan.FromSeconds(body.Seconds ?? UsualSeconds);
        var replies = await Windows.AskAsync(nodes, Window, async node =>
        {
            var fault = await ShineAsync(drivers, clock, node, shine, cancel);
            if (fault is null)
                timers.Set(node.Name, drivers.LightOf(node.Power) is { EndsItself: false } ? shine : null, () => ShineAsync(drivers, clock, node, null, CancellationToken.None));
            return new LightReply(node.Name, fault is not null ? "unknown" : body.Off ? "off" : "on", fault?.Code.Text, fault?.Message);
        }, cancel);
        return Results.Json(replies, RestJson.Default.ImmutableArrayLightReply);
    }

    static async Task<Fault?> ShineAsync(PowerDrivers drivers, TimeProvider clock, ClusterNode node, TimeSpan? shine, CancellationToken cancel)
    {
        if (drivers.LightOf(node.Power) is not { } light)
            return Fault.Of(FaultCodes.PowerNoLight, $"the driver '{node.Power.Kind}' has no light to switch");
        using var late = new CancellationTokenSource(Patience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            return await light.ShineAsync(node, shine, either.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Fault.Of(FaultCodes.PowerBmcUnreachable, $"no answer within {Patience.TotalSeconds:0} s");
        }
    }
}

/// <summary>Switches lights off at their time where their driver cannot. Forgotten when the server stops: such a light stays on until somebody switches it off.</summary>
public sealed partial class LightTimers(TimeProvider clock, ILogger<LightTimers> log) : IDisposable
{
    readonly ConcurrentDictionary<string, ITimer> _timers = new(StringComparer.Ordinal);

    /// <param name="shine">Null ends an earlier timer and sets none.</param>
    internal void Set(string node, TimeSpan? shine, Func<Task<Fault?>> off)
    {
        if (_timers.TryRemove(node, out var earlier))
            earlier.Dispose();
        if (shine is { } time)
            _timers[node] = clock.CreateTimer(_ => _ = OffAsync(node, off), null, time, Timeout.InfiniteTimeSpan);
    }

    async Task OffAsync(string node, Func<Task<Fault?>> off)
    {
        if (_timers.TryRemove(node, out var timer))
            await timer.DisposeAsync();
        if (await off() is { } fault)
            LogStays(node, fault.Code.Text, fault.Message);
    }

    public void Dispose()
    {
        foreach (var timer in _timers.Values)
            timer.Dispose();
    }

    [LoggerMessage(4101, LogLevel.Warning, "the light of {Node} could not be switched off: {Code}: {Reason}")]
    partial void LogStays(string node, string code, string reason);
}

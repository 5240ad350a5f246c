using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Environments;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/store/collect</c>: removes files that nothing refers to.</summary>
public static class Stores
{
    /// <summary>Younger files are never removed: they may be on their way into an environment.</summary>
    static readonly TimeSpan LeastAge = TimeSpan.FromMinutes(10);

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapPost("/api/v1/store/collect", CollectAsync).Needs(Audience.Users, Right.Operate).Accepts<CollectBody>("application/json").Produces<CollectReply>();

    static async Task<IResult> CollectAsync(HttpRequest request, StoreCollection store, FileStore files, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.CollectBody, cancel);
        if (body is null)
            return refusal!;
        if (!(body.OlderThanSeconds >= LeastAge.TotalSeconds && body.OlderThanSeconds <= TimeSpan.FromDays(3650).TotalSeconds))
            return Problems.Of(Fault.Of(FaultCodes.RequestInvalid, $"'olderThanSeconds' is {body.OlderThanSeconds}, {LeastAge.TotalSeconds} or more is expected: younger files may be on their way into an environment"));
        var found = await Task.Run(() => store.Collect(TimeSpan.FromSeconds(body.OlderThanSeconds), body.DryRun), cancel);
        return Results.Json(
            new CollectReply(body.DryRun, [.. found.Unused.Select(f => new StoredFileReply(f.Sha256, f.Bytes, f.UsedAt))], found.Unused.Sum(f => f.Bytes), found.Used, found.UsedBytes) { StoreBytes = files.Room.Used(), LimitBytes = files.Room.Limit },
            RestJson.Default.CollectReply);
    }
}

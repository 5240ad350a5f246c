using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>What ids of a request with an idempotency key end with.</summary>
sealed record IdSuffix(string Text);

/// <summary>Marks a route that takes an idempotency key.</summary>
sealed record KeyedRoute;

/// <summary>
/// Requests with an <c>Idempotency-Key</c> create what they ask for once: the same again gets the same answer for a day, across a restart too. What was refused changed nothing, so it is
/// looked at anew. The key is written down with the end of the ids to be given before the request is carried out; after a crash in between, what it created is found by that.
/// </summary>
sealed class OnceByKey(AnswerTable answers, WorkflowTable workflows, Journal journal, TimeProvider clock)
{
    public const string Header = "Idempotency-Key";

    const int LongestKey = 200;

    /// <summary>The requests that are being carried out: a second one with the same key waits for the first.</summary>
    readonly ConcurrentDictionary<(string Owner, string Key), TaskCompletionSource> _underWay = new();

    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var context = call.HttpContext;
        if (!context.Request.Headers.TryGetValue(Header, out var given))
            return await next(call);
        if (given is not [{ Length: > 0 and <= LongestKey } key] || key.Any(c => c is < '!' or > '~'))
            return Problems.Of(StatusCodes.Status400BadRequest, Fault.Of(FaultCodes.RequestInvalid, $"{Header} is one word of 1 to {LongestKey} printable ASCII characters"));
        var body = await ReadAsync(context.Request, context.RequestAborted);
        context.Request.Body = new MemoryStream(body, writable: false);
        var owner = context.Features.Get<Requester>()!.Caller.Name;
        var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        while (_underWay.GetOrAdd((owner, key), mine) is var first && first != mine)
            await first.Task.WaitAsync(context.RequestAborted);
        try
        {
            return await CarryOutAsync(owner, key, Digest(context.Request, body), call, next);
        }
        finally
        {
            _underWay.TryRemove((owner, key), out _);
            mine.SetResult();
        }
    }

    async Task<object?> CarryOutAsync(string owner, string key, string request, EndpointFilterInvocationContext call, EndpointFilterDelegate next)
    {
        var suffix = Ids.Suffix();
        if (answers.Claim(owner, key, request, suffix, clock.GetUtcNow()) is { } kept)
        {
            if (kept.Request != request)
                return Problems.Of(Fault.Of(FaultCodes.RequestKeyReused, $"{Header} '{key}' was used for another request"));
            if (kept.Status is { } status)
            {
                call.HttpContext.Response.Headers["Idempotency-Replayed"] = "true";
                return Results.Text(kept.Body!, "application/json", Encoding.UTF8, status);
            }
            suffix = kept.Suffix;
        }
        call.HttpContext.Features.Set(new IdSuffix(suffix));
        var answer = await Captured.OfAsync(Created(suffix) ?? await next(call), call.HttpContext);
        if (answer.Status == StatusCodes.Status201Created)
            answers.Keep(owner, key, answer.Status, Encoding.UTF8.GetString(answer.Body));
        else
            answers.Release(owner, key);
        return answer;
    }

    /// <summary>The answer for what an earlier run created before it was cut off.</summary>
    IResult? Created(string suffix) => workflows.FindBySuffix(suffix) is { } stored
        ? Results.Json(Operations.Reply(stored, Operations.Folded(stored.Workflow, journal), _ => null, detailed: false), RestJson.Default.OperationReply, statusCode: StatusCodes.Status201Created)
        : null;

    /// <summary>The body, or as much of one that is too large as shows that it is.</summary>
    static async Task<byte[]> ReadAsync(HttpRequest request, CancellationToken cancel)
    {
        var buffer = new MemoryStream();
        var piece = new byte[16 * 1024];
        int n;
        while (buffer.Length <= Bodies.Limit && (n = await request.Body.ReadAsync(piece, cancel)) > 0)
            buffer.Write(piece, 0, n);
        return buffer.ToArray();
    }

    static string Digest(HttpRequest request, byte[] body) =>
        Convert.ToHexStringLower(SHA256.HashData([.. Encoding.UTF8.GetBytes($"{request.Method} {request.Path}{request.QueryString}\n"), .. body]));
}

static class OnceByKeyRoutes
{
    /// <summary>The route creates something: with an idempotency key it does so once.</summary>
    public static RouteHandlerBuilder OnceByKey(this RouteHandlerBuilder route) => route.WithMetadata(new KeyedRoute())
        .AddEndpointFilter((call, next) => call.HttpContext.RequestServices.GetRequiredService<OnceByKey>().InvokeAsync(call, next));
}

using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.Net.Http.Headers;

namespace Ka.Server.Api;

/// <summary>An answer as it is before it is sent.</summary>
sealed record Captured(int Status, string? ContentType, byte[] Body) : IResult
{
    /// <param name="result">What a handler returned.</param>
    public static async Task<Captured> OfAsync(object? result, HttpContext context)
    {
        var wire = context.Response.Body;
        using var body = new MemoryStream();
        context.Response.Body = body;
        try
        {
            await ((IResult)result!).ExecuteAsync(context);
        }
        finally
        {
            context.Response.Body = wire;
        }
        return new Captured(context.Response.StatusCode, context.Response.ContentType, body.ToArray());
    }

    public async Task ExecuteAsync(HttpContext context)
    {
        context.Response.StatusCode = Status;
        context.Response.ContentType = ContentType;
        context.Response.ContentLength = Body.Length;
        await context.Response.Body.WriteAsync(Body, context.RequestAborted);
    }
}

/// <summary>Entity tags: who has an answer already is told so in place of it.</summary>
static class Tags
{
    /// <summary>The answer carries an ETag of its bytes; with a matching <c>If-None-Match</c> it is 304.</summary>
    public static RouteHandlerBuilder Tagged(this RouteHandlerBuilder route) => route.Produces(StatusCodes.Status304NotModified).WithMetadata(new TaggedRoute()).AddEndpointFilter(async (call, next) =>
    {
        var context = call.HttpContext;
        var answer = await Captured.OfAsync(await next(call), context);
        if (answer.Status != StatusCodes.Status200OK)
            return answer;
        var tag = new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(answer.Body).AsSpan(0, 16))}\"", isWeak: true);
        context.Response.Headers.ETag = tag.ToString();
        context.Response.Headers.CacheControl = "private, no-cache";
        if (!context.Request.GetTypedHeaders().IfNoneMatch.Any(t => t.Tag == "*" || t.Compare(tag, useStrongComparison: false)))
            return Packed(answer, context);
        context.Response.ContentType = null;
        return Results.StatusCode(StatusCodes.Status304NotModified);
    });

    /// <summary>Answers beyond this many bytes are compressed for who can read it. None of them holds a secret, so its size betrays none.</summary>
    const int Large = 64 * 1024;

    static Captured Packed(Captured answer, HttpContext context)
    {
        context.Response.Headers.Vary = HeaderNames.AcceptEncoding;
        if (answer.Body.Length <= Large || !context.Request.GetTypedHeaders().AcceptEncoding.Any(e => e.Value.Equals("gzip", StringComparison.OrdinalIgnoreCase) && e.Quality is not 0))
            return answer;
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(answer.Body);
        context.Response.Headers.ContentEncoding = "gzip";
        return answer with { Body = packed.ToArray() };
    }
}

/// <summary>Marks a route whose answers carry an ETag.</summary>
sealed record TaggedRoute;

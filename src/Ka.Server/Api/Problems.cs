using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Net.Http.Headers;

namespace Ka.Server.Api;

/// <summary>Problem documents (RFC 9457) from faults.</summary>
public static class Problems
{
    /// <summary>With the status that fits the fault.</summary>
    public static IResult Of(Fault fault, ImmutableArray<ProblemError> errors = default) => Of(StatusOf(fault.Code), fault, errors);

    /// <summary>With the status that fits the first of them.</summary>
    public static IResult Of(IReadOnlyList<Fault> faults) => Of(StatusOf(faults[0].Code), faults);

    public static IResult Of(int status, Fault fault, ImmutableArray<ProblemError> errors = default)
    {
        var explained = FaultCodes.Explain(fault.Code.Text);
        var problem = new Problem(
            "urn:ka:fault:" + fault.Code, explained?.Meaning, status, fault.Message, fault.Code.Text, explained?.Next, fault.Evidence,
            errors.IsDefaultOrEmpty ? null : errors);
        return Results.Text(JsonSerializer.Serialize(problem, RestJson.Default.Problem), "application/problem+json", statusCode: status);
    }

    /// <summary>Errors that one answer names.</summary>
    const int MostErrors = 20;

    /// <summary>Several faults at once: the first gives the code, each has its line.</summary>
    static IResult Of(int status, IReadOnlyList<Fault> faults) => Of(
        status, faults[0], faults.Count == 1 ? default : [.. faults.Take(MostErrors).Select(f => new ProblemError(null, f.Message, f.Evidence, null, $"{f.Code}: {f.Message}"))]);

    public static IResult Of(int status, FaultCode code, string message, IEnumerable<DocumentError> errors, string source) => Of(
        status, Fault.Of(code, message),
        [.. errors.Take(MostErrors).Select(e => new ProblemError(e.At.ToString(), e.Message, e.Offending, e.Expected, e.Render(source)))]);

    /// <summary>The status that fits a fault of a request.</summary>
    static int StatusOf(FaultCode code) =>
        code == FaultCodes.EnvironmentUnknown || code == FaultCodes.OperationUnknown || code == FaultCodes.NodesUnknown || code == FaultCodes.NodeHasNoKey || code == FaultCodes.RightsUnknown || code == FaultCodes.RequestNotFound ? StatusCodes.Status404NotFound
        : code == FaultCodes.NodesBusy || code == FaultCodes.EnvironmentExists || code == FaultCodes.EnvironmentInUse || code == FaultCodes.OperationEnded || code == FaultCodes.RightsConflict || code == FaultCodes.NodesDrained
            || code == FaultCodes.ConsoleBusy || code == FaultCodes.UploadOffset || code == FaultCodes.RebootDestructive || code == FaultCodes.RebootNotDeployed ? StatusCodes.Status409Conflict
        : code == FaultCodes.AuthMissing ? StatusCodes.Status401Unauthorized
        : code == FaultCodes.RightsMissing || code == FaultCodes.RightsRole ? StatusCodes.Status403Forbidden
        : code == FaultCodes.RequestMediaType ? StatusCodes.Status415UnsupportedMediaType
        : code == FaultCodes.RequestTooLarge ? StatusCodes.Status413PayloadTooLarge
        : code == FaultCodes.StoreFull ? StatusCodes.Status507InsufficientStorage
        : code == FaultCodes.AuthBusy ? StatusCodes.Status429TooManyRequests
        : code == FaultCodes.MinimalMissing || code == FaultCodes.ServerStopped || code == FaultCodes.AuthIssuerUnreachable ? StatusCodes.Status503ServiceUnavailable
        : StatusCodes.Status422UnprocessableEntity;
}

/// <summary>Reads request bodies: bounded, strict, and every error with its place.</summary>
public static class Bodies
{
    public const int Limit = 4 * 1024 * 1024;

    static readonly MinDataRate Slowest = new(bytesPerSecond: 100, gracePeriod: TimeSpan.FromSeconds(10));

    /// <summary>What people send must be understood whole; what the server sends, an older program may read in part.</summary>
    static readonly RestJson Strict = new(new JsonSerializerOptions(RestJson.Default.Options) { UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow });

    public static async Task<(T? Value, IResult? Refusal)> ReadAsync<T>(HttpRequest request, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class
    {
        if (Foreign(request) is { } foreign)
            return (null, Problems.Of(foreign));
        // Whoever sends slower than this only holds a connection.
        if (HttpProtocol.IsHttp11(request.Protocol) && request.HttpContext.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = Slowest;
        var buffer = new MemoryStream();
        var piece = new byte[16 * 1024];
        int n;
        while ((n = await request.Body.ReadAsync(piece, cancel)) > 0)
        {
            buffer.Write(piece, 0, n);
            if (buffer.Length > Limit)
                return (null, Problems.Of(StatusCodes.Status413PayloadTooLarge, Fault.Of(FaultCodes.RequestTooLarge, $"a body of more than {Limit} bytes is not read")));
        }
        try
        {
            var value = JsonSerializer.Deserialize(buffer.GetBuffer().AsSpan(0, (int)buffer.Length), (System.Text.Json.Serialization.Metadata.JsonTypeInfo<T>)Strict.GetTypeInfo(typeof(T))!);
            if (value is null)
                return (null, Invalid([new ProblemError("", "the body is null", null, null, null)]));
            // The reader takes a member that is left out as null, also where null is refused when it is written.
            var missing = type.Properties.Where(p => !p.IsGetNullable && p.Get is not null && p.Get(value) is null).Select(p =>
                new ProblemError("/" + p.Name, $"'{p.Name}' is missing", null, null, null)).ToImmutableArray();
            return missing.IsEmpty ? (value, null) : (null, Invalid(missing));
        }
        catch (JsonException e)
        {
            return (null, Invalid([new ProblemError($"{e.Path} (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1})", e.Message, null, null, null)]));
        }
    }

    /// <summary>Why the bytes are not even to be read: an encoding that is none of ours.</summary>
    static Fault? Foreign(HttpRequest request) =>
        request.Headers.ContentEncoding is { Count: > 0 } encoding ? Fault.Of(FaultCodes.RequestMediaType, $"a body with Content-Encoding '{DocumentError.Cut(encoding.ToString())}' is not read")
        : MediaTypeHeaderValue.TryParse(request.ContentType, out var type) && type.Charset is { Length: > 0 } charset && !charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)
            ? Fault.Of(FaultCodes.RequestMediaType, $"a body in charset '{DocumentError.Cut(charset.ToString())}' is not read")
        : null;

    static IResult Invalid(ImmutableArray<ProblemError> errors) =>
        Problems.Of(StatusCodes.Status400BadRequest, Fault.Of(FaultCodes.RequestInvalid, "the body is not the JSON that is expected"), errors);
}

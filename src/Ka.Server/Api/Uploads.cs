using System.Globalization;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Environments;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>
/// <c>/api/v1/files/SHA256</c>: files come whole by <c>PUT</c>, or in parts by <c>PATCH</c> after the IETF's "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload): HEAD
/// tells <c>Upload-Offset</c>, PATCH appends <c>application/partial-upload</c> there, <c>Upload-Complete: ?1</c> says that it is the rest, a wrong offset is 409 with the right one. Other than
/// in the draft no request creates the upload: its address is its digest, and it begins with a PATCH at 0.
/// </summary>
public static class Uploads
{
    const string Offset = "Upload-Offset", Complete = "Upload-Complete", MediaType = "application/partial-upload";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/files/{sha256}", ["HEAD"], Head).Needs(Audience.Users, Right.Environments);
        routes.MapPut("/api/v1/files/{sha256}", PutAsync).Needs(Audience.Users, Right.Environments).Produces(StatusCodes.Status204NoContent);
        routes.MapPatch("/api/v1/files/{sha256}", PatchAsync).Needs(Audience.Users, Right.Environments).Produces(StatusCodes.Status204NoContent);
    }

    /// <param name="owner">Whose upload; only administrators name somebody else.</param>
    static IResult Head(string sha256, string? owner, Requester who, HttpResponse reply, FileStore files, FileParts parts, FileRights rights)
    {
        if (!FileStore.IsDigest(sha256) || NotTheirs(who, owner) is not null)
            return Results.NotFound();
        if (rights.May(who.Caller, sha256) && files.Use(sha256))
            return Stands(reply, new FileInfo(files.PathOf(sha256)).Length, complete: true);
        return parts.Offset(sha256, owner ?? who.Caller.Name) is { } offset ? Stands(reply, offset, complete: false) : Results.NotFound();
    }

    static async Task<IResult> PutAsync(string sha256, HttpRequest request, Requester who, FileStore files, FileOrigins origins, TimeProvider clock, CancellationToken cancel)
    {
        if (!FileStore.IsDigest(sha256))
            return NoDigest();
        if (await files.PutAsync(sha256, request.Body, cancel, request.ContentLength) is { } fault)
            return Problems.Of(fault);
        origins.Add(sha256, who.Caller.Name, null, clock.GetUtcNow());
        return Results.NoContent();
    }

    static async Task<IResult> PatchAsync(
        string sha256, string? owner, HttpRequest request, Requester who, FileParts parts, FileOrigins origins, TimeProvider clock, CancellationToken cancel)
    {
        if (!FileStore.IsDigest(sha256))
            return NoDigest();
        if (NotTheirs(who, owner) is { } notTheirs)
            return Problems.Of(notTheirs);
        if (request.ContentType != MediaType)
            return Problems.Of(Fault.Of(FaultCodes.RequestMediaType, $"'{MediaType}' is expected"));
        if (!long.TryParse(request.Headers[Offset], NumberStyles.None, CultureInfo.InvariantCulture, out var offset) || request.Headers[Complete].ToString() is not ("?0" or "?1"))
            return Problems.Of(StatusCodes.Status400BadRequest, Fault.Of(FaultCodes.RequestInvalid, $"the headers '{Offset}: BYTES' and '{Complete}: ?1' (or ?0) are expected"));
        var state = await parts.AppendAsync(sha256, owner ?? who.Caller.Name, offset, request.Headers[Complete] == "?1", request.Body, request.ContentLength, cancel);
        if (state.TakenOver)
        {
            request.HttpContext.Abort();
            return Results.Empty;
        }
        if (state.Complete && state.Fault is null)
            foreach (var name in new[] { who.Caller.Name, owner ?? who.Caller.Name }.Distinct())
                origins.Add(sha256, name, null, clock.GetUtcNow());
        var stands = Stands(request.HttpContext.Response, state.Offset, state.Complete);
        return state.Fault is { } fault ? Problems.Of(fault) : stands;
    }

    static IResult Stands(HttpResponse reply, long offset, bool complete)
    {
        reply.Headers[Offset] = offset.ToString(CultureInfo.InvariantCulture);
        reply.Headers[Complete] = complete ? "?1" : "?0";
        reply.Headers.CacheControl = "no-store";
        return Results.NoContent();
    }

    static IResult NoDigest() => Problems.Of(StatusCodes.Status400BadRequest, Fault.Of(FaultCodes.RequestInvalid, "a file is named by its SHA-256 in lower-case hex"));

    static Fault? NotTheirs(Requester who, string? owner) => owner is null || owner == who.Caller.Name || who.Caller.Role >= Role.Admin
        ? null
        : Fault.Of(FaultCodes.RightsRole, $"{who.Caller.Name} is {who.Caller.Role.Word()}; only an administrator goes on with an upload of '{DocumentError.Cut(owner)}'");
}

using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Identity;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/environments/import</c>: an environment of a container image.</summary>
public static class Imports
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/environments/import", ImportAsync)
        .Needs(Audience.Users, Right.Environments).Accepts<ImportBody>("application/json").Produces<ApplyReply>();

    static async Task<IResult> ImportAsync(HttpRequest request, Requester who, EnvironmentCatalogue catalogue, FileStore files, FileRights rights, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.ImportBody, cancel);
        if (body is null)
            return refusal!;
        var named = body.BootFrom.Split(':', 2);
        if (catalogue.FindFor(who.Caller, named[0], named.Length == 2 && int.TryParse(named[1], out var version) ? version : null) is not { } boot)
            return Problems.Of(Fault.Of(FaultCodes.EnvironmentUnknown, $"there is no environment '{body.BootFrom}' to take the kernel from"));
        if (body.Layers.FirstOrDefault(l => !rights.May(who.Caller, l.Sha256)) is { } missing)
            return Problems.Of(Fault.Of(FaultCodes.RequestInvalid, $"the layer {DocumentError.Cut(missing.Sha256)} was not sent"));
        var (environment, fault) = await Task.Run(() => ContainerImport.Make(body, boot, files, clock.GetUtcNow(), cancel), cancel);
        RemoveLayers(body, catalogue, files);
        if (environment is null)
            return Problems.Of(fault!);
        environment = environment with { Owner = who.Caller.Name };
        if (catalogue.RefuseRegistration(who.Caller, environment) is { } denied)
            return Problems.Of(denied);
        if (catalogue.Find(environment.Name, environment.Version) is { } existing)
            return Registrar.SameContent(existing, environment)
                ? Results.Json(new ApplyReply("unchanged", Environments.Reply(existing)), RestJson.Default.ApplyReply)
                : Problems.Of(Fault.Of(FaultCodes.EnvironmentExists, $"{environment.Name}:{environment.Version} exists with another content"));
        catalogue.Add(environment);
        return Results.Json(new ApplyReply("created", Environments.Reply(environment)), RestJson.Default.ApplyReply, statusCode: StatusCodes.Status201Created);
    }

    /// <summary>The layers have done their part; what an environment uses stays.</summary>
    static void RemoveLayers(ImportBody body, EnvironmentCatalogue catalogue, FileStore files)
    {
        var used = catalogue.All().SelectMany(Registrar.FilesOf).ToHashSet(StringComparer.Ordinal);
        foreach (var layer in body.Layers.Where(l => FileStore.IsDigest(l.Sha256) && !used.Contains(l.Sha256)))
            files.Remove(layer.Sha256);
    }
}

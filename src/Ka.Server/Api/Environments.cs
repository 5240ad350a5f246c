using System.Collections.Immutable;
using Ka.Broadcast.Torrent;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Identity;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/environments</c> and the files they are made of.</summary>
public static class Environments
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/api/v1/environments");
        group.MapGet("", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<EnvironmentReply>>().Tagged();
        group.MapGet("{name}", Show).Needs(Audience.Users, Right.View).Produces<EnvironmentReply>().Tagged();
        group.MapGet("{name}/render", Render).Needs(Audience.Users, Right.View).Produces<RenderReply>();
        group.MapGet("{name}/{version:int}/files", ManifestAsync).Needs(Audience.Users, Right.View).Produces(StatusCodes.Status200OK, contentType: "application/gzip");
        group.MapPost("files", FilesAsync).Needs(Audience.Users, Right.Environments).Accepts<ApplyBody>("application/json").Produces<DescriptionFiles>();
        group.MapPost("", ApplyAsync).Needs(Audience.Users, Right.Environments).Accepts<ApplyBody>("application/json").Produces<ApplyReply>();
        group.MapDelete("{name}/{version:int}", Remove).Needs(Audience.Users, Right.Environments).Produces(StatusCodes.Status204NoContent);
    }

    /// <param name="label">As in <c>KEY=VALUE</c> or <c>KEY</c>, any number; all must be there.</param>
    static IResult List(string[]? label, Requester who, EnvironmentCatalogue catalogue) => Results.Json(
        catalogue.All().Where(e => who.Caller.Sees(e) && EnvironmentLabels.Have(e.Labels, label ?? [])).Select(Reply).ToImmutableArray(), RestJson.Default.ImmutableArrayEnvironmentReply);

    static IResult Show(string name, int? version, Requester who, EnvironmentCatalogue catalogue) => catalogue.FindFor(who.Caller, name, version) is { } found
        ? Results.Json(Reply(found), RestJson.Default.EnvironmentReply)
        : Unknown(name);

    /// <summary>A rendered file as the node would get it; without a path all of them.</summary>
    static IResult Render(string name, int? version, string node, string? path, Requester who, EnvironmentCatalogue catalogue, Hosting.Site site)
    {
        if (catalogue.FindFor(who.Caller, name, version) is not { } environment)
            return Unknown(name);
        if (site.Find(node) is not { } found)
            return Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"there is no node '{DocumentError.Cut(node)}'"));
        var chosen = environment.Files.Where(f => path is null || f.Path == path).ToArray();
        if (chosen.Length == 0)
            return Problems.Of(StatusCodes.Status404NotFound, Fault.Of(
                FaultCodes.TemplateInvalid, $"{name} renders {(path is null ? "no files" : $"no file '{DocumentError.Cut(path)}'; it has {string.Join(", ", environment.Files.Select(f => f.Path))}")}"));
        var values = TemplateValues.Of(found.Node, found.Cluster, environment);
        var rendered = new List<RenderedReply>();
        foreach (var file in chosen)
        {
            if (!NodeTemplate.TryRender(file, values, out var text, out var errors))
                return Problems.Of(errors.Select(e => Fault.Of(FaultCodes.TemplateInvalid, $"{file.Path}, {e}")).ToArray());
            rendered.Add(new RenderedReply(file.Path, Convert.ToString(file.Mode, 8).PadLeft(4, '0'), text));
        }
        return Results.Json(new RenderReply($"{environment.Name}:{environment.Version}", node, [.. rendered]), RestJson.Default.RenderReply);
    }

    /// <summary>The manifest of the environment's image (gzip): what <c>ka-agent verify</c> compares a running system with.</summary>
    static async Task<IResult> ManifestAsync(string name, int version, Requester who, EnvironmentCatalogue catalogue, FileStore files, CancellationToken cancel)
    {
        if (catalogue.FindFor(who.Caller, name, version) is not { } environment)
            return Unknown($"{name}:{version}");
        var (digest, fault) = await Task.Run(() => FileManifests.FindOrMake(files, environment.Image, cancel), cancel);
        return digest is null ? Problems.Of(fault!) : Results.File(files.PathOf(digest), "application/gzip");
    }

    /// <summary>Which files the description names; the client then sends those that the store lacks.</summary>
    static async Task<IResult> FilesAsync(HttpRequest request, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.ApplyBody, cancel);
        if (body is null)
            return refusal!;
        var (description, errors) = DescriptionReader.Read(body.File, body.Text);
        return description is null
            ? Invalid(body, errors)
            : Results.Json(new DescriptionFiles(description.Name, description.Version, [.. description.Files.Select(f => f.Path).Distinct().Where(p => !HttpSources.IsAddress(p))]), RestJson.Default.DescriptionFiles);
    }

    static async Task<IResult> ApplyAsync(HttpRequest request, Requester who, EnvironmentCatalogue catalogue, FileStore files, FileRights rights, FileOrigins origins, HttpSources sources, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.ApplyBody, cancel);
        if (body is null)
            return refusal!;
        var (description, errors) = DescriptionReader.Read(body.File, body.Text);
        if (description is null)
            return Invalid(body, errors);
        body = rights.Only(who.Caller, body);
        var (digests, refused) = await sources.FetchAsync(
            description, body.Files, d => rights.May(who.Caller, d) && files.Use(d), (d, address) => origins.Add(d, who.Caller.Name, address, clock.GetUtcNow()), cancel);
        OsEnvironment? environment = null;
        if (refused is null)
            (environment, refused) = await Task.Run(() => Registrar.Register(description, digests, files, clock.GetUtcNow(), cancel), cancel);
        if (environment is null)
            return refused!.At is { } at
                ? Problems.Of(
                    refused.Fault,
                    [new ProblemError(at.ToString(), refused.Fault.Message, null, null, new DocumentError(refused.Fault.Code.Text, at, refused.Fault.Message).Render(body.Text))])
                : Problems.Of(refused.Fault);
        environment = environment with { Owner = who.Caller.Name };
        if ((catalogue.RefuseRegistration(who.Caller, environment) ?? Catalogue.RefuseTags(catalogue, who.Caller, environment, environment)) is { } denied)
            return Problems.Of(denied);
        if (catalogue.Find(environment.Name, environment.Version) is { } existing)
            return Registrar.SameContent(existing, environment)
                ? Results.Json(Retagged(catalogue, existing, Registrar.Retagged(existing, description)), RestJson.Default.ApplyReply)
                : Problems.Of(Fault.Of(FaultCodes.EnvironmentExists, $"{environment.Name}:{environment.Version} exists with another content"));
        catalogue.Add(environment);
        return Results.Json(new ApplyReply("created", Reply(environment)), RestJson.Default.ApplyReply, statusCode: StatusCodes.Status201Created);
    }

    static ApplyReply Retagged(EnvironmentCatalogue catalogue, OsEnvironment existing, OsEnvironment updated)
    {
        if (Registrar.SameTags(existing, updated))
            return new ApplyReply("unchanged", Reply(existing));
        catalogue.Replace(updated);
        return new ApplyReply("updated", Reply(updated));
    }

    static IResult Remove(string name, int version, Requester who, EnvironmentCatalogue catalogue, WorkflowTable workflows, NodeTable nodes, FileStore files, TorrentSource torrents, Hosting.ServerSecrets secrets)
    {
        if (catalogue.FindFor(who.Caller, name, version) is not { } environment)
            return Unknown($"{name}:{version}");
        if (EnvironmentRights.RefuseRemoval(who.Caller, environment) is { } denied)
            return Problems.Of(denied);
        name = environment.Name;
        var running = workflows.Running();
        if (running.FirstOrDefault(w => w.Workflow.Environment.Name == name && w.Workflow.Environment.Version == version) is { } user)
            return Problems.Of(Fault.Of(FaultCodes.EnvironmentInUse, $"{name}:{version} is being deployed by {user.Workflow.Id}"));
        catalogue.Remove(name, version);
        TrackerRoutes.Forget(environment, torrents, secrets);
        var used = catalogue.All().SelectMany(Registrar.FilesOf)
            .Concat(nodes.BootProfiles().SelectMany(p => new[] { p.Kernel, p.Initrd }).OfType<string>())
            .Concat(running.Select(w => w.Workflow.Options.Profile).SelectMany(p => new[] { p?.Kernel.Sha256, p?.Initrd?.Sha256 }).OfType<string>())
            .ToHashSet(StringComparer.Ordinal);
        foreach (var file in Registrar.FilesOf(environment).Where(f => !used.Contains(f)))
            FileManifests.RemoveImage(files, file);
        return Results.NoContent();
    }

    internal static IResult Invalid(ApplyBody body, ImmutableArray<DocumentError> errors) =>
        Problems.Of(StatusCodes.Status422UnprocessableEntity, FaultCodes.EnvironmentInvalid, $"{body.File} has {errors.Length} error(s)", errors, body.Text);

    internal static IResult Unknown(string name) =>
        Problems.Of(Fault.Of(FaultCodes.EnvironmentUnknown, $"there is no environment '{DocumentError.Cut(name)}'"));

    internal static EnvironmentReply Reply(OsEnvironment e) => new(
        e.Name, e.Version, e.Owner, e.Description, e.Visibility.ToString().ToLowerInvariant(), e.Arch, e.Os, e.Image.Sha256, e.Image.Bytes, e.Image.UnpackedBytes,
        e.Image.Kind.ToString().ToLowerInvariant(), e.Image.Compression.ToString().ToLowerInvariant(), e.FileSystem.ToString().ToLowerInvariant(),
        e.Boot.Kernel, e.Boot.Initrd, e.Boot.Params, [.. e.PostInstalls.Select(p => p.Name)], e.RegisteredAt) { Destructive = e.Destructive, Alias = e.Alias, Labels = e.Labels };
}

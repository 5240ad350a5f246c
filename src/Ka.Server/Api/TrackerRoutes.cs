using System.Net;
using Ka.Broadcast.Torrent;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>The tracker on the nodes' listener (BEP 3), and the <c>.torrent</c> files of public environments.</summary>
public static class TrackerRoutes
{
    /// <summary>The path before a torrent's secret.</summary>
    public const string Path = "/announce/";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path + "{secret}", Announce).Needs(Audience.BootingNodes, Right.None).ExcludeFromDescription();
        routes.MapGet("/api/v1/environments/{name}/torrent", TorrentAsync)
            .Needs(Audience.Users, Right.View).Produces(StatusCodes.Status200OK, contentType: "application/x-bittorrent");
    }

    /// <summary>Who knows the path takes part. A public environment's torrent begins with the first who asks for it.</summary>
    static async Task<IResult> Announce(string secret, HttpRequest request, TorrentSource torrents, EnvironmentCatalogue catalogue, FileStore files, ServerSecrets secrets, CancellationToken cancel)
    {
        if (!torrents.Has(secret) && catalogue.All().FirstOrDefault(e => e.Visibility == Visibility.Public && SecretOf(e, secrets) == secret) is { } environment)
            await Task.Run(() => Open(environment, torrents, files, secrets, cancel), cancel);
        var from = request.HttpContext.Connection.RemoteIpAddress ?? IPAddress.None;
        return torrents.Announce(secret, request.QueryString.Value ?? "", from) is { } answer ? Results.Bytes(answer, "text/plain") : Results.NotFound();
    }

    static async Task<IResult> TorrentAsync(
        string name, int? version, Requester who, EnvironmentCatalogue catalogue, TorrentSource torrents, FileStore files, ServerSecrets secrets, CancellationToken cancel)
    {
        if (catalogue.FindFor(who.Caller, name, version) is not { } environment)
            return Problems.Of(Fault.Of(FaultCodes.EnvironmentUnknown, $"there is no environment '{DocumentError.Cut(name)}'"));
        if (environment.Visibility != Visibility.Public)
            return Problems.Of(StatusCodes.Status403Forbidden, Fault.Of(
                FaultCodes.BroadcastUnavailable, $"{name}:{environment.Version} is {environment.Visibility.ToString().ToLowerInvariant()}, and whoever has a torrent has the image",
                "only what is public has a torrent: 'visibility: public' in the description"));
        var (metainfo, fault) = await Task.Run(() => Open(environment, torrents, files, secrets, cancel), cancel);
        return metainfo is null ? Problems.Of(fault!) : Results.Bytes(metainfo.ToBytes(), "application/x-bittorrent");
    }

    /// <summary>The torrent of a public environment ends with it.</summary>
    internal static void Forget(OsEnvironment environment, TorrentSource torrents, ServerSecrets secrets) => torrents.Close(SecretOf(environment, secrets));

    static (Metainfo? Metainfo, Fault? Fault) Open(OsEnvironment environment, TorrentSource torrents, FileStore files, ServerSecrets secrets, CancellationToken cancel) => files.Has(environment.Image.Sha256)
        ? torrents.Open(SecretOf(environment, secrets), files.PathOf(environment.Image.Sha256), $"{environment.Name}-{environment.Version}.image", isPrivate: false, cancel)
        : (null, Fault.Of(FaultCodes.EnvironmentUnknown, $"the image {environment.Image.Sha256} is no longer in the store"));

    static string SecretOf(OsEnvironment environment, ServerSecrets secrets) => secrets.Derive("public announce", environment.Name, environment.Version.ToString());
}

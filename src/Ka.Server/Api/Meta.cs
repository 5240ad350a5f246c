using Ka.Core.Rights;
using Ka.Protocol.Rest;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/version</c>.</summary>
public static class Meta
{
    public static void Map(IEndpointRouteBuilder routes) => routes
        .MapGet("/api/v1/version", () => Results.Json(Version, RestJson.Default.VersionReply))
        .Needs(Audience.Users, Right.None).Produces<VersionReply>();

    public static VersionReply Version { get; } = new("ka", typeof(Meta).Assembly.GetName().Version?.ToString(3) ?? "0", "v1");
}

using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Hosting;

namespace Ka.Server.Api;

/// <summary><c>GET /api/v1/agent</c>: the agent's program, which a client sends to running nodes.</summary>
public static class AgentProgram
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/api/v1/agent", (Site site) => At(site) is { } path
            ? Results.File(path, "application/octet-stream")
            : Missing(StatusCodes.Status404NotFound))
        .Needs(Audience.Users, Right.View).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream");

    internal static IResult Missing(int status) =>
        Problems.Of(status, Fault.Of(FaultCodes.MinimalMissing, "there is no ka-agent beside the minimal environment: build it anew"));

    /// <summary>The program beside the kernel of the minimal environment; null where there is none.</summary>
    internal static string? At(Site site) => Path.Combine(Path.GetDirectoryName(site.KernelPath)!, "ka-agent") is var path && File.Exists(path) ? path : null;
}

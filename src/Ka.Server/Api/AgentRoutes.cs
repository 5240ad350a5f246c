using Ka.Core.Rights;
using Ka.Engine.Workflows;
using Ka.Protocol.Agents;
using Ka.Server.Agents;
using Ka.Server.Environments;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>What agents reach: their WebSocket, and the files of their own workflow.</summary>
public static class AgentRoutes
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet(AgentProtocol.Path, ConnectAsync).Needs(Audience.Agents, Right.Agent).ExcludeFromDescription();
        routes.MapGet(AgentProtocol.FilesPath + "{sha256}", GetFile).Needs(Audience.Agents, Right.Agent).ExcludeFromDescription();
    }

    static async Task ConnectAsync(HttpContext context, AgentHub hub, IHostApplicationLifetime lifetime)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        await hub.ServeAsync(socket, context.Connection.RemoteIpAddress?.ToString() ?? "?", either.Token);
    }

    static IResult GetFile(string sha256, HttpRequest request, AgentHub hub, WorkflowTable workflows, FileStore files, TorrentTools tools)
    {
        if (Access.Bearer(request) is not { } session || hub.WorkflowOf(session) is not { } id || workflows.Find(id) is not { } stored)
            return Results.Unauthorized();
        return FileStore.IsDigest(sha256) && (Allowed(stored.Workflow, files).Contains(sha256) || sha256 == tools.Digest) && files.Has(sha256)
            ? Results.File(files.PathOf(sha256), "application/octet-stream")
            : Results.NotFound();
    }

    /// <summary>The files of a workflow: its environment's, its cluster's scripts, its operations'.</summary>
    static IEnumerable<string> Allowed(Workflow workflow, FileStore files) => workflow.Kind != WorkflowKind.Deploy
        ? []
        : Registrar.FilesOf(workflow.Environment)
            .Concat(workflow.Cluster.PostInstalls.Concat(workflow.Cluster.PreInstalls).SelectMany(p => new[] { p.ArchiveSha256, p.ScriptSha256 }).OfType<string>())
            .Concat(workflow.Cluster.Operations.Select(o => o.File).OfType<string>())
            .Concat(workflow.Cluster.Nodes.Select(n => n.PartitionScript).OfType<string>())
            .Concat(FileManifests.Find(files, workflow.Environment.Image.Sha256) is { } manifest ? [manifest] : Array.Empty<string>());
}

using System.Buffers;
using System.Net;
using Ka.Core.BootProfiles;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Ka.Boot.Http;

/// <summary>
/// What nodes fetch by HTTP while they boot. A node's files lie under its key and are sent to its own address only; anything else looks
/// as if it did not exist.
/// </summary>
public static class BootRoutes
{
    /// <summary>Copy buffer in bytes; larger ones were not faster.</summary>
    private const int BufferSize = 256 * 1024;

    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Maps <c>/boot/{key}/script.ipxe</c>, <c>kernel</c>, <c>initrd</c> and <c>/boot/loader/{name}</c>.</summary>
    public static IEndpointRouteBuilder MapBoot(this IEndpointRouteBuilder routes, BootServer server)
    {
        routes.MapMethods("/boot/{key}/script.ipxe", Methods, context => SendScript(context, server));
        routes.MapMethods("/boot/{key}/kernel", Methods, context => SendFile(context, server, BootEventKind.KernelFetched, profile => profile.KernelPath));
        routes.MapMethods("/boot/{key}/initrd", Methods, context => SendFile(context, server, BootEventKind.InitrdFetched, profile => profile.InitrdPath));
        routes.MapMethods("/boot/loader/{name}", Methods, context => SendLoader(context, server));
        return routes;
    }

    private static async Task SendScript(HttpContext context, BootServer server)
    {
        if (FindNode(context, server) is not { } node)
        {
            return;
        }

        var script = IpxeScript.Render(node.Name, node.Profile, server.Settings.UrlsOf(node));
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.ContentLength = script.Length;
        context.Response.Headers.CacheControl = "no-store";
        if (!HttpMethods.IsHead(context.Request.Method))
        {
            await context.Response.WriteAsync(script, context.RequestAborted);
            server.Note(BootEventKind.ScriptFetched, node, null, node.Address, node.Profile.GetType().Name);
        }
    }

    private static async Task SendFile(HttpContext context, BootServer server, BootEventKind kind, Func<BootProfile.FromNetwork, string?> fileOf)
    {
        if (FindNode(context, server) is not { } node)
        {
            return;
        }

        if (node.Profile is not BootProfile.FromNetwork boots || fileOf(boots) is not { } path)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            server.Note(BootEventKind.Refused, node, null, node.Address, "its boot profile has no such file");
            return;
        }

        if (await Send(context, path) is { } trouble)
        {
            server.Note(BootEventKind.Refused, node, null, node.Address, trouble);
        }
        else if (!HttpMethods.IsHead(context.Request.Method))
        {
            server.Note(kind, node, null, node.Address, Path.GetFileName(path));
        }
    }

    private static async Task SendLoader(HttpContext context, BootServer server)
    {
        var name = (string?)context.Request.RouteValues["name"] ?? "";
        var from = Remote(context);
        if (!server.Settings.Loaders.Contains(name) || from is null || server.Settings.NetworkOf(from) is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            server.Note(BootEventKind.Refused, null, null, from, "HTTP request for a loader that is not served");
            return;
        }

        var trouble = await Send(context, Path.Combine(server.Settings.LoaderDirectory, name));
        if (trouble is not null || !HttpMethods.IsHead(context.Request.Method))
        {
            server.Note(trouble is null ? BootEventKind.LoaderFetched : BootEventKind.Refused, null, null, from, trouble ?? name);
        }
    }

    /// <summary>The node that asks, when the key and its address belong together; otherwise answers 404.</summary>
    private static BootNode? FindNode(HttpContext context, BootServer server)
    {
        var key = (string?)context.Request.RouteValues["key"] ?? "";
        var from = Remote(context);
        if (key.Length is >= 16 and <= 64 && server.Directory.TryFindByKey(key, out var node) && node.Address.Equals(from))
        {
            return node;
        }

        context.Response.StatusCode = StatusCodes.Status404NotFound;
        server.Note(BootEventKind.Refused, null, null, from, "HTTP request with an unknown key or from another address");
        return null;
    }

    private static IPAddress? Remote(HttpContext context) =>
        context.Connection.RemoteIpAddress is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4() : context.Connection.RemoteIpAddress;

    /// <summary>Sends a file as it is when opened; null when all went well, else one sentence.</summary>
    private static async Task<string?> Send(HttpContext context, string path)
    {
        FileStream file;
        try
        {
            file = new(path, new FileStreamOptions { Options = FileOptions.SequentialScan | FileOptions.Asynchronous, BufferSize = 0, Share = FileShare.Read | FileShare.Delete });
        }
        catch (Exception trouble) when (trouble is IOException or UnauthorizedAccessException)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return $"cannot read the boot file {path}: {trouble.GetType().Name}";
        }

        await using (file)
        {
            context.Response.ContentType = "application/octet-stream";
            context.Response.ContentLength = file.Length;
            if (HttpMethods.IsHead(context.Request.Method))
            {
                return null;
            }

            return await Copy(context, file);
        }
    }

    private static async Task<string?> Copy(HttpContext context, FileStream file)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            for (int count; (count = await file.ReadAsync(buffer.AsMemory(0, BufferSize), context.RequestAborted)) > 0;)
            {
                await context.Response.Body.WriteAsync(buffer.AsMemory(0, count), context.RequestAborted);
            }

            return null;
        }
        catch (Exception broken) when (broken is IOException or OperationCanceledException)
        {
            return $"the transfer of {Path.GetFileName(file.Name)} was broken off";
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}

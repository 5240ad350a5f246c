using System.Collections.Concurrent;
using System.Text.Json;
using Ka.Drivers.Programs;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>
/// Runs the site's hooks when an operation has ended, beside everything else: each gets the operation as JSON, as <c>GET /api/v1/operations/ID</c> tells it, on its
/// standard input. What a hook does never changes how the operation ended; a failure stands in the operation's logs. A hook is not run again after a crash of the server.
/// </summary>
public sealed partial class EndHooks(Site site, WorkflowTable workflows, Journal journal, LogTable logs, TimeProvider clock, ILogger<EndHooks> log) : IHostedService, IDisposable
{
    /// <summary>In the place of a node in the operation's logs.</summary>
    public const string Place = "server";

    readonly CancellationTokenSource _stopping = new();
    readonly ConcurrentDictionary<string, Task> _running = new(StringComparer.Ordinal);

    /// <summary>Begins the hooks of an operation that has ended.</summary>
    public void Begin(string id)
    {
        if (site.Configuration.Hooks.IsEmpty)
            return;
        var run = Task.Run(() => RunAsync(id), CancellationToken.None);
        _running[id] = run;
        _ = run.ContinueWith(_ => _running.TryRemove(id, out var _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Completes when the hooks of an operation have ended.</summary>
    internal Task EndedAsync(string id) => _running.TryGetValue(id, out var run) ? run : Task.CompletedTask;

    async Task RunAsync(string id)
    {
        try
        {
            if (workflows.Find(id) is not { } stored)
                return;
            var told = JsonSerializer.SerializeToUtf8Bytes(
                Operations.Reply(stored, Operations.Folded(stored.Workflow, journal), _ => null, detailed: true), RestJson.Default.OperationReply);
            for (var i = 0; i < site.Configuration.Hooks.Length; i++)
                if (await FailureAsync(site.Configuration.Hooks[i], told) is { } failure)
                {
                    LogFailed(id, failure);
                    logs.Add(id, new NodeLog(clock.GetUtcNow(), Place, $"hook_{i + 1}", failure));
                }
        }
        catch (System.Data.Common.DbException e)
        {
            LogFailed(id, e.Message);
        }
    }

    /// <summary>What went wrong, or null.</summary>
    async Task<string?> FailureAsync(EndHook hook, byte[] told)
    {
        using var late = new CancellationTokenSource(hook.Patience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, _stopping.Token);
        try
        {
            var ended = await ExternalProgram.RunAsync(hook.Command[0], hook.Command.Skip(1), async (input, cancel) => await input.WriteAsync(told, cancel), either.Token);
            return ended.Ok ? null
                : $"{hook.Command[0]} {(ended.ExitCode is { } status ? $"ended with status {status}" : "could not be started")}\n{ended.Evidence}".TrimEnd();
        }
        catch (OperationCanceledException)
        {
            return _stopping.IsCancellationRequested
                ? $"{hook.Command[0]} was ended: the server stops"
                : $"{hook.Command[0]} was ended after {hook.Patience.TotalSeconds:0} s";
        }
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        await Task.WhenAll(_running.Values);
    }

    public void Dispose() => _stopping.Dispose();

    [LoggerMessage(3005, LogLevel.Warning, "{Workflow}: a hook failed: {Failure}")]
    partial void LogFailed(string workflow, string failure);
}

using System.Collections.Immutable;
using System.Net.ServerSentEvents;
using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.Cli.Live;

/// <summary>Follows an operation to its end: repaints on a terminal, prints lines elsewhere; comes back by itself when the server was away.</summary>
public sealed class Watcher(Server server, bool verbose, bool quiet)
{
    /// <summary>How long a server may be away before the watcher gives up.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    WatchState _state = new();
    int _painted;

    /// <returns>Null when the operation has ended; else why watching stopped.</returns>
    public async Task<Problem?> FollowAsync(OperationReply operation, CancellationToken cancel)
    {
        if (!operation.MacroSteps.IsDefaultOrEmpty)
            _state = new WatchState(operation.MacroSteps);
        var title = $"{operation.Id}  {operation.Wish ?? operation.Environment} → {operation.Count} node{(operation.Count == 1 ? "" : "s")}: {operation.Nodes}";
        var live = Terminal.IsLive && !quiet;
        DateTimeOffset? away = null;
        while (true)
        {
            var stream = await server.WatchAsync($"api/v1/operations/{operation.Id}/events", _state.LastSeq, cancel);
            if (stream.Value is { } events)
            {
                away = null;
                if (await ReadAsync(events, operation, title, live, cancel))
                    return null;
            }
            else if (stream.Problem!.Code != "server.unreachable")
                return stream.Problem;
            away ??= DateTimeOffset.UtcNow;
            if (DateTimeOffset.UtcNow - away > Patience)
                return stream.Problem ?? new Problem(null, null, 0, "the event stream ended", "server.unreachable", null, null, null);
            await Task.Delay(TimeSpan.FromMilliseconds(500), cancel);
        }
    }

    /// <summary>True when the operation has ended.</summary>
    async Task<bool> ReadAsync(Stream stream, OperationReply operation, string title, bool live, CancellationToken cancel)
    {
        try
        {
            await using (stream)
                await foreach (var item in SseParser.Create(stream).EnumerateAsync(cancel))
                {
                    if (item.EventType == "progress")
                        _state.Apply(JsonSerializer.Deserialize(item.Data, RestJson.Default.ImmutableArrayNodeProgress));
                    else if (item.EventType == "operation" && JsonSerializer.Deserialize(item.Data, RestJson.Default.OperationEvent) is { } happened)
                    {
                        _state.Apply(happened);
                        if (!live && !quiet)
                            PlainLines.Print(operation, happened, _state, verbose);
                    }
                    if (live)
                        Paint(LiveView.Draw(title, _state, DateTimeOffset.UtcNow, Terminal.Width));
                    if (_state.State != "running")
                        return true;
                }
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            // The server went away in the middle; the events are in its journal.
        }
        return _state.State != "running";
    }

    void Paint(IReadOnlyList<string> lines)
    {
        var text = new System.Text.StringBuilder();
        if (_painted > 0)
            text.Append($"\e[{_painted}A");
        foreach (var line in lines)
            text.Append("\e[2K").Append(line).Append('\n');
        for (var i = lines.Count; i < _painted; i++)
            text.Append("\e[2K\n");
        if (_painted > lines.Count)
            text.Append($"\e[{_painted - lines.Count}A");
        Console.Error.Write(text);
        _painted = lines.Count;
    }
}

using System.Collections.Immutable;
using System.Text.Json;
using Dapper;
using Ka.Engine;
using Ka.Engine.Automata;

namespace Ka.Store;

/// <summary>The journal of all workflows. What it returned from is on stable storage.</summary>
public sealed class Journal(Database database) : IJournal
{
    public Task AppendAsync(string workflow, ImmutableArray<JournalEntry> entries, CancellationToken cancel) =>
        Task.Run(
            () => database.Write((c, t) => c.Execute(
                "insert into journal (workflow, seq, at, event) values (@workflow, @Seq, @At, @Event)",
                entries.Select(e => new
                {
                    workflow,
                    e.Seq,
                    At = e.At.ToUnixTimeMilliseconds(),
                    Event = JsonSerializer.Serialize(e.Event, EngineJson.Default.EngineEvent),
                }),
                t)),
            CancellationToken.None);

    /// <summary>Entries of a workflow after <paramref name="after"/>, in order, at most <paramref name="limit"/>.</summary>
    public ImmutableArray<JournalEntry> Read(string workflow, long after = 0, int limit = int.MaxValue) => database.Read(c =>
        c.Query<(long Seq, long At, string Event)>(
                "select seq, at, event from journal where workflow = @workflow and seq > @after order by seq limit @limit",
                new { workflow, after, limit })
            .Select(r => new JournalEntry(r.Seq, DateTimeOffset.FromUnixTimeMilliseconds(r.At), JsonSerializer.Deserialize(r.Event, EngineJson.Default.EngineEvent)!))
            .ToImmutableArray());
}

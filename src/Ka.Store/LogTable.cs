using System.Collections.Immutable;
using Dapper;

namespace Ka.Store;

/// <summary>What one step said on one node.</summary>
public sealed record NodeLog(DateTimeOffset At, string Node, string Step, string Text);

/// <summary>Outputs of steps, for people who look for the cause of a failure.</summary>
public sealed class LogTable(Database database)
{
    /// <summary>Most characters kept of one output.</summary>
    public const int TextLimit = 16 * 1024;

    public void Add(string workflow, NodeLog line) => database.Write((c, t) => c.Execute(
        "insert into logs (workflow, node, at, step, text) values (@workflow, @Node, @at, @Step, @text)",
        new { workflow, line.Node, at = line.At.ToUnixTimeMilliseconds(), line.Step, text = line.Text.Length > TextLimit ? line.Text[^TextLimit..] : line.Text }, t));

    /// <param name="node">Null for all nodes.</param>
    public ImmutableArray<NodeLog> Read(string workflow, string? node, int limit) => database.Read(c =>
        c.Query<(long At, string Node, string Step, string Text)>(
                "select at, node, step, text from logs where workflow = @workflow and (@node is null or node = @node) order by id limit @limit",
                new { workflow, node, limit })
            .Select(r => new NodeLog(DateTimeOffset.FromUnixTimeMilliseconds(r.At), r.Node, r.Step, r.Text))
            .ToImmutableArray());
}

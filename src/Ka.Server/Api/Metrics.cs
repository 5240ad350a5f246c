using System.Globalization;
using System.Text;
using Ka.Core.Rights;
using Ka.Server.Agents;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Statistics;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>/metrics</c> in Prometheus' text format 0.0.4. Counters are counted from the store, so that they survive a restart.</summary>
public static class Metrics
{
    /// <summary>Upper bounds of the durations in seconds.</summary>
    static readonly int[] Bounds = [10, 30, 60, 120, 180, 300, 600, 1200, 2400];

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("/metrics", Write).Needs(Audience.Users, Right.View).Produces(StatusCodes.Status200OK, contentType: "text/plain");

    static IResult Write(RunTable runs, WorkflowTable workflows, NodeTable nodes, OutOfUseTable outOfUse, WorkflowHost host, AgentHub hub, Site site, FileStore files)
    {
        var text = new StringBuilder();
        Family(text, "ka_operations_total", "counter", "Ended operations by kind and result.");
        foreach (var count in workflows.Counts().Where(c => c.State != "running"))
            Sample(text, "ka_operations_total", count.Count, ("kind", count.Kind), ("result", count.State));
        Family(text, "ka_operations_running", "gauge", "Operations that run now, by kind.");
        foreach (var alike in host.Running.CountBy(w => w.Kind.ToString().ToLowerInvariant()).OrderBy(c => c.Key, StringComparer.Ordinal))
            Sample(text, "ka_operations_running", alike.Value, ("kind", alike.Key));
        Family(text, "ka_node_operations_total", "counter", "Nodes of ended operations by kind, cluster, result and cause.");
        foreach (var count in runs.Counts())
            Sample(text, "ka_node_operations_total", count.Count, ("kind", count.Kind), ("cluster", count.Cluster), ("result", Reports.Result(count.Code)), ("cause", count.Code ?? ""));
        Durations(text, runs);
        Family(text, "ka_nodes", "gauge", "Nodes by cluster and state.");
        var states = nodes.States();
        foreach (var alike in site.Configuration.AllNodes.CountBy(n => (n.Cluster.Name, State: states.GetValueOrDefault(n.Node.Name)?.State ?? "unknown")).OrderBy(c => c.Key))
            Sample(text, "ka_nodes", alike.Value, ("cluster", alike.Key.Name), ("state", alike.Key.State));
        Family(text, "ka_agent_connected", "gauge", "Nodes with a connected agent, by cluster.");
        foreach (var cluster in site.Configuration.Clusters)
            Sample(text, "ka_agent_connected", cluster.Nodes.Count(n => hub.IsConnected(n.Name)), ("cluster", cluster.Name));
        Family(text, "ka_nodes_drained", "gauge", "Nodes that are taken out of use.");
        Sample(text, "ka_nodes_drained", outOfUse.Drained().Count);
        Family(text, "ka_stopped", "gauge", "1 while an administrator has stopped everything.");
        Sample(text, "ka_stopped", outOfUse.Stopped() is null ? 0 : 1);
        Family(text, "ka_store_bytes", "gauge", "Bytes that the store of images holds.");
        Sample(text, "ka_store_bytes", files.Room.Used());
        Family(text, "ka_store_limit_bytes", "gauge", "Bytes that the store of images may hold; nothing without a limit.");
        if (files.Room.Limit is { } limit)
            Sample(text, "ka_store_limit_bytes", limit);
        return Results.Text(text.ToString(), "text/plain; version=0.0.4; charset=utf-8");
    }

    static void Durations(StringBuilder text, RunTable runs)
    {
        const string name = "ka_step_duration_seconds";
        Family(text, name, "histogram", "Seconds that nodes need for a macro step.");
        for (var macro = 1; macro <= 3; macro++)
            foreach (var (kind, cluster, within, all, seconds) in runs.Buckets(macro, Bounds))
            {
                (string, string)[] labels = [("kind", kind), ("cluster", cluster), ("macro", Stats.MacrosOf(kind)[macro - 1])];
                for (var i = 0; i < Bounds.Length; i++)
                    Sample(text, name + "_bucket", within[i], [.. labels, ("le", Bounds[i].ToString(CultureInfo.InvariantCulture))]);
                Sample(text, name + "_bucket", all, [.. labels, ("le", "+Inf")]);
                Sample(text, name + "_sum", seconds, labels);
                Sample(text, name + "_count", all, labels);
            }
    }

    static void Family(StringBuilder text, string name, string type, string help) => text.Append($"# HELP {name} {help}\n# TYPE {name} {type}\n");

    static void Sample(StringBuilder text, string name, double value, params (string Name, string Value)[] labels)
    {
        text.Append(name);
        if (labels.Length > 0)
            text.Append('{').AppendJoin(',', labels.Select(l => $"{l.Name}=\"{Escaped(l.Value)}\"")).Append('}');
        text.Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
    }

    static string Escaped(string value) => value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}

using Ka.Core.Environments;
using Ka.Core.NodeSets;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>Which nodes have an environment already, by what the server last did with them.</summary>
public sealed class AlreadyDeployed(NodeTable nodes, RunTable runs, WorkflowTable workflows)
{
    /// <summary>Runs of one node that are looked through for its last deployment.</summary>
    const int Depth = 100;

    /// <summary>Nodes whose last operation ended well and whose last deployment brought this very environment: name, version, and the digest of every image.</summary>
    public NodeSet Of(NodeSet set, OsEnvironment environment)
    {
        var states = nodes.States();
        var same = new Dictionary<string, bool>(StringComparer.Ordinal);
        return NodeSet.FromNames(set.Where(n =>
            states.GetValueOrDefault(n.Value) is { State: "deployed", Fault: null } state && state.Environment == environment.Word && LastDeployment(state) is { } id && Same(id)));

        bool Same(string id)
        {
            if (!same.TryGetValue(id, out var known))
                same[id] = known = workflows.Find(id) is { } stored && Digests(stored.Workflow.Environment).SequenceEqual(Digests(environment));
            return known;
        }
    }

    string? LastDeployment(NodeState state) => state.Workflow is { } last && last.StartsWith("D-", StringComparison.Ordinal)
        ? last
        : runs.OfNode(state.Node, Depth).FirstOrDefault(r => r.Kind == "deploy")?.Workflow;

    static IEnumerable<(string?, string)> Digests(OsEnvironment environment) => environment.Images().Select(i => (i.Partition, i.Image.Sha256));
}

using System.Security.Cryptography;
using Ka.Core.Clusters;
using Ka.Engine.Ports;
using Ka.Server.Agents;
using Ka.Store;

namespace Ka.Server.Boot;

/// <summary>How far a machine came since its boot was caused.</summary>
public enum BootStage
{
    Nothing,
    Dhcp,
    Script,
    Kernel,
}

/// <summary>What a node boots at this moment.</summary>
/// <param name="Workflow">Null when no workflow wants anything of it: local disk.</param>
public sealed record BootWish(BootChoice Choice, string? Workflow, string? Nonce, BootStage Stage, DateTimeOffset? SeenAt);

/// <summary>
/// What each node boots next and what was seen of it. A node that no workflow owns boots from its local disk; the install
/// profile is gone as soon as the agent of its nonce has checked in.
/// </summary>
public sealed class NodeBoots(NodeTable table, AgentHub hub, TimeProvider clock)
{
    sealed record State(string Workflow, BootChoice Choice, string? Nonce, BootStage Stage, DateTimeOffset? SeenAt);

    readonly Lock _gate = new();
    readonly Dictionary<string, State> _states = new(StringComparer.Ordinal);

    /// <summary>Durably chooses what the nodes boot next; the network-booted environment gets a fresh nonce, which ends every earlier boot.</summary>
    public void Choose(string workflow, IReadOnlyList<string> nodes, BootChoice choice)
    {
        var nonces = nodes.ToDictionary(n => n, _ => choice == BootChoice.Minimal ? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)) : null);
        table.SetFacts(workflow, nodes.SelectMany(n => new[]
        {
            (n, "boot", choice.ToString()),
            (n, "nonce", nonces[n] ?? table.Fact(workflow, n, "nonce") ?? ""),
            (n, "session", choice == BootChoice.Minimal ? "" : table.Fact(workflow, n, "session") ?? ""),
        }));
        lock (_gate)
            foreach (var node in nodes)
                _states[node] = new State(workflow, choice, nonces[node] ?? _states.GetValueOrDefault(node)?.Nonce, BootStage.Nothing, null);
        foreach (var (node, nonce) in nonces)
            if (nonce is not null)
                hub.Expect(workflow, node, nonce, null);
    }

    /// <summary>Takes over the agent that rests on the node since an earlier workflow: its boot becomes this workflow's. False when none rests there.</summary>
    public bool Adopt(string workflow, string node)
    {
        if (hub.RestingOn(node) is not { } resting)
            return false;
        table.SetFacts(workflow, [(node, "nonce", resting.Nonce), (node, "session", resting.SecretHash)]);
        lock (_gate)
            _states[node] = new State(workflow, BootChoice.Minimal, resting.Nonce, BootStage.Kernel, clock.GetUtcNow());
        hub.Expect(workflow, node, resting.Nonce, resting.SecretHash);
        return true;
    }

    /// <summary>After a restart: takes up what the running workflows had chosen.</summary>
    public void Restore(string workflow, IEnumerable<string> nodes)
    {
        foreach (var node in nodes)
        {
            if (!Enum.TryParse<BootChoice>(table.Fact(workflow, node, "boot"), out var choice))
                continue;
            var nonce = table.Fact(workflow, node, "nonce");
            lock (_gate)
                _states[node] = new State(workflow, choice, nonce, BootStage.Nothing, null);
            if (nonce is { Length: > 0 })
                hub.Expect(workflow, node, nonce, table.Fact(workflow, node, "session") is { Length: > 0 } session ? session : null);
        }
    }

    public void Forget(string workflow)
    {
        lock (_gate)
            foreach (var node in _states.Where(s => s.Value.Workflow == workflow).Select(s => s.Key).ToArray())
                _states.Remove(node);
        hub.Forget(workflow);
    }

    public BootWish WishOf(string node)
    {
        lock (_gate)
        {
            if (!_states.TryGetValue(node, out var state))
                return new BootWish(BootChoice.LocalDisk, null, null, BootStage.Nothing, null);
            var choice = state.Choice == BootChoice.Minimal && hub.HasCheckedIn(state.Workflow, node) ? BootChoice.LocalDisk : state.Choice;
            return new BootWish(choice, state.Workflow, state.Nonce, state.Stage, state.SeenAt);
        }
    }

    /// <summary>Notes how far the node has come; it never goes back before the next choice.</summary>
    public void Saw(string node, BootStage stage)
    {
        lock (_gate)
            if (_states.TryGetValue(node, out var state))
                _states[node] = state with { Stage = stage > state.Stage ? stage : state.Stage, SeenAt = clock.GetUtcNow() };
    }
}

using System.Collections.Immutable;
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
/// <param name="Workflow">Null when no workflow wants anything of it: local disk, or the profile that an earlier one left.</param>
public sealed record BootWish(BootChoice Choice, string? Workflow, string? Nonce, BootStage Stage, DateTimeOffset? SeenAt)
{
    /// <summary>For <see cref="BootChoice.Profile"/>.</summary>
    public NodeProfile? Profile { get; init; }
}

/// <summary>
/// What each node boots next and what was seen of it. A node that no workflow owns boots from its local disk, or the profile that its
/// last deployment brought; the install profile is gone as soon as the agent of its nonce has checked in.
/// </summary>
public sealed class NodeBoots(NodeTable table, AgentHub hub, TimeProvider clock)
{
    sealed record State(string Workflow, BootChoice Choice, string? Nonce, BootStage Stage, DateTimeOffset? SeenAt);

    readonly Lock _gate = new();
    readonly Dictionary<string, State> _states = new(StringComparer.Ordinal);
    readonly Dictionary<string, NodeProfile> _profiles = table.BootProfiles().ToDictionary(p => p.Node, StringComparer.Ordinal);

    /// <summary>Durably chooses what the nodes boot next; the network-booted environment gets a fresh nonce, which ends every earlier boot.</summary>
    /// <param name="profiles">For <see cref="BootChoice.Profile"/>, one for each node; every other choice ends the profiles that the nodes have.</param>
    public void Choose(string workflow, IReadOnlyList<string> nodes, BootChoice choice, IReadOnlyList<NodeProfile>? profiles = null)
    {
        var nonces = nodes.ToDictionary(n => n, _ => choice == BootChoice.Minimal ? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)) : null);
        table.SetBoot(workflow, nodes, nodes.SelectMany(n => new[]
        {
            (n, "boot", choice.ToString()),
            (n, "nonce", nonces[n] ?? table.Fact(workflow, n, "nonce") ?? ""),
            (n, "session", choice == BootChoice.Minimal ? "" : table.Fact(workflow, n, "session") ?? ""),
        }), profiles ?? []);
        lock (_gate)
        {
            foreach (var node in nodes)
            {
                _profiles.Remove(node);
                _states[node] = new State(workflow, choice, nonces[node] ?? _states.GetValueOrDefault(node)?.Nonce, BootStage.Nothing, null);
            }
            foreach (var profile in profiles ?? [])
                _profiles[profile.Node] = profile;
        }
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

    /// <summary>Lets nodes boot their local disks again. Nothing changes when a workflow holds any of them.</summary>
    public (ImmutableArray<string> Removed, ImmutableArray<BusyNode> Busy) ForgetProfiles(IReadOnlyCollection<string> nodes)
    {
        var outcome = table.RemoveBootProfiles(nodes);
        lock (_gate)
            foreach (var node in outcome.Removed)
                _profiles.Remove(node);
        return outcome;
    }

    public BootWish WishOf(string node)
    {
        lock (_gate)
        {
            var own = _profiles.GetValueOrDefault(node);
            if (!_states.TryGetValue(node, out var state))
                return new BootWish(own is null ? BootChoice.LocalDisk : BootChoice.Profile, null, null, BootStage.Nothing, null) { Profile = own };
            var choice = state.Choice == BootChoice.Minimal && hub.HasCheckedIn(state.Workflow, node) ? BootChoice.LocalDisk : state.Choice;
            return new BootWish(choice, state.Workflow, state.Nonce, state.Stage, state.SeenAt) { Profile = choice == BootChoice.Profile ? own : null };
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

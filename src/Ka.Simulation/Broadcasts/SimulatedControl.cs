using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;

namespace Ka.Simulation.Broadcasts;

/// <summary>The control channel of a simulated broadcast: takes reports, and tells nodes whom to ask because of one that holds the others back.</summary>
/// <param name="nodes">Null where a node has not begun, or has ended.</param>
sealed class SimulatedControl(VirtualNetwork network, VirtualHost[] hosts, ChainNode?[] nodes, ImmutableArray<ChainLink> links, StragglerRules rules, StragglerStep? diesAfter)
{
    static readonly TimeSpan Period = TimeSpan.FromMilliseconds(200);

    readonly StragglerWatch _watch = new([.. hosts.Select(h => new ChainPeer(h.Name, 1))], links, rules);
    readonly bool[] _begun = new bool[nodes.Length];
    readonly ImmutableArray<(TimeSpan, StragglerStep, Straggler)>.Builder _steps = ImmutableArray.CreateBuilder<(TimeSpan, StragglerStep, Straggler)>();

    public ImmutableArray<(TimeSpan At, StragglerStep Step, Straggler Who)> Steps => _steps.ToImmutable();

    public void Begin() => network.Threads.At(network.Threads.Now + VirtualThreads.Nanoseconds(Period), Look);

    void Look()
    {
        var now = network.Threads.Elapsed;
        for (var i = 0; i < nodes.Length; i++)
        {
            if (nodes[i] is { } node && hosts[i].IsAlive)
            {
                _begun[i] = true;
                _watch.Report(i, node.Progress, now);
            }
            else if (_begun[i])
            {
                _watch.Ended(i);
            }
        }
        var advice = _watch.Look(now);
        foreach (var (step, who) in advice.Steps)
        {
            _steps.Add((now, step, who));
            if (step == StragglerStep.Evict)
            {
                Tell(who.Place, n => n.Evict(who.ToString()));
            }
        }
        foreach (var (place, upstreams) in advice.Orders)
        {
            Tell(place, n => n.Replan(upstreams));
        }
        if (diesAfter is { } last && _steps.Any(s => s.Item2 == last))
        {
            return;
        }
        Begin();
    }

    void Tell(int place, Action<ChainNode> what)
    {
        if (nodes[place] is { } node)
        {
            hosts[place].Start("control", 0, () => what(node));
        }
    }
}

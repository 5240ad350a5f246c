using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;

namespace Ka.Simulation.Broadcasts;

/// <summary>What the model of the flow is asked.</summary>
/// <param name="BlockBytes">What a node hands on at once.</param>
/// <param name="Deaths">Node and moment, of nodes that die silently or by reset, <paramref name="Death"/>.</param>
public sealed record FlowScene(int Nodes, long Bytes, BroadcastWay Way, double BitsPerSecond, TimeSpan Latency)
{
    public int BlockBytes { get; init; } = WayChoice.DefaultBlockBytes;

    public int Arity { get; init; } = 2;

    public ChainOptions Options { get; init; } = ChainOptions.Default;

    public ImmutableArray<(int Node, TimeSpan Moment)> Deaths { get; init; } = [];

    public Death Death { get; init; } = Death.Silence;
}

/// <summary>What the model says.</summary>
/// <param name="Elapsed">When the last living node has everything.</param>
public sealed record FlowEnd(TimeSpan Elapsed, long SourceBytes, int Died);

/// <summary>
/// A broadcast as arithmetic. The image is cut into rows; when a row is whole at a node follows from when it was at the one it asks, from its own last
/// row and the shared rate of the link, and from the ring of each node, which waits for the slowest that it serves and, with two stripes, for the
/// other stripe. A death moves its orphans to the first candidate that lives once it has been noticed.
/// </summary>
public sealed class FlowModel
{
    const int Server = -1;

    /// <summary>Round trips of a probe and of a connection with its handshake, in latencies.</summary>
    const int ProbeLatencies = 4, ConnectLatencies = 6;

    readonly FlowScene _scene;
    readonly int _stripes;
    readonly FlowPlan _plan;
    readonly long _unit;
    readonly int _window;
    readonly int _rows;
    readonly double _unitSeconds;
    readonly double _blockSeconds;
    readonly double _latency;
    readonly int[][] _parents;
    readonly List<int>[][] _children;
    readonly int[][] _order;
    readonly int[] _load;
    readonly double[] _diesAt;
    readonly bool[][] _dead;

    /// <summary>By stripe, row modulo length, node: when the row is whole there.</summary>
    readonly double[][][] _whole;
    readonly double[][] _begun;
    readonly (int Row, double Until)[][] _held;
    long _sourceRows;

    FlowModel(FlowScene scene)
    {
        _scene = scene;
        _plan = FlowPlan.Of(scene.Way, scene.Nodes, scene.Arity);
        _stripes = _plan.Parents.Length;
        var ring = scene.Options.RingOf(isEncrypted: false) / _stripes;
        _unit = Math.Clamp(scene.Bytes / _stripes / 256, 1, ring / 8);
        _rows = (int)Math.Max(1, (scene.Bytes + (_unit * _stripes) - 1) / (_unit * _stripes));
        _window = (int)Math.Max(1, ring / _unit);
        _unitSeconds = (double)scene.Bytes / _stripes / _rows * 8 / scene.BitsPerSecond;
        _blockSeconds = Math.Min(scene.Bytes, scene.BlockBytes) * 8 / scene.BitsPerSecond;
        _latency = scene.Latency.TotalSeconds;
        _parents = [.. _plan.Parents.Select(p => p.ToArray())];
        _children = [.. _plan.Parents.Select(ChildLists)];
        _load = [.. Enumerable.Range(0, scene.Nodes + 1).Select(i => _children.Sum(c => c[i].Count))];
        _diesAt = [.. Enumerable.Repeat(double.PositiveInfinity, scene.Nodes)];
        foreach (var (node, moment) in scene.Deaths)
        {
            _diesAt[node] = moment.TotalSeconds;
        }
        _dead = [.. _parents.Select(_ => new bool[scene.Nodes])];
        var start = ConnectLatencies * _latency;
        _begun = [.. _parents.Select(_ => Enumerable.Repeat(start, scene.Nodes).ToArray())];
        _whole = [.. _parents.Select(_ => Enumerable.Range(0, _window + 1).Select(_ => Enumerable.Repeat(start, scene.Nodes).ToArray()).ToArray())];
        _held = [.. _parents.Select(_ => new (int, double)[scene.Nodes + 1])];
        _order = [.. Enumerable.Range(0, _stripes).Select(Ordered)];
    }

    public static FlowEnd Run(FlowScene scene) => new FlowModel(scene).Run();

    FlowEnd Run()
    {
        for (var row = 0; row < _rows; row++)
        {
            for (var stripe = 0; stripe < _stripes; stripe++)
            {
                Advance(stripe, row);
            }
        }
        var last = _rows - 1;
        var living = Enumerable.Range(0, _scene.Nodes).Where(i => !_dead.Any(d => d[i])).ToArray();
        var end = living.Length == 0 ? 0 : living.Max(i => _whole.Max(w => w[last % (_window + 1)][i]));
        return new FlowEnd(TimeSpan.FromSeconds(end), (long)((double)_sourceRows * _scene.Bytes / _stripes / _rows), _scene.Nodes - living.Length);
    }

    void Advance(int stripe, int row)
    {
        var now = _whole[stripe][row % (_window + 1)];
        var before = row == 0 ? null : _whole[stripe][(row - 1) % (_window + 1)];
        for (var at = 0; at < _order[stripe].Length; at++)
        {
            var node = _order[stripe][at];
            var moment = Arrival(stripe, row, node, now, before);
            if (moment > _diesAt[node])
            {
                Bury(stripe, row, node);
                at = -1; // the order is a new one; what stands in it already comes out the same
                continue;
            }
            now[node] = moment;
        }
        _sourceRows += _children[stripe][_scene.Nodes].Count;
    }

    double Arrival(int stripe, int row, int node, double[] now, double[]? before)
    {
        var parent = _parents[stripe][node];
        var load = Math.Max(_stripes, _load[parent == Server ? _scene.Nodes : parent]);
        var moment = Math.Max(before?[node] ?? 0, _begun[stripe][node]) + (_unitSeconds * load);
        if (parent != Server)
        {
            moment = Math.Max(moment, now[parent] + (_blockSeconds * load) + _latency);
        }
        return Math.Max(moment, Room(stripe, row, node));
    }

    /// <summary>When the node's ring has room for the row.</summary>
    double Room(int stripe, int row, int node)
    {
        var held = _held[stripe][node];
        var moment = row >= held.Row + _window ? held.Until : 0;
        if (row < _window)
        {
            return moment;
        }
        var old = _whole[stripe][(row - _window) % (_window + 1)];
        foreach (var child in _children[stripe][node])
        {
            moment = Math.Max(moment, old[child]);
        }
        // The sink takes the stripes in turn: this one's row after the other's before it.
        for (var other = 0; other < _stripes; other++)
        {
            var needed = other < stripe ? row - _window : row - _window - 1;
            if (other != stripe && needed >= 0)
            {
                moment = Math.Max(moment, _whole[other][needed % (_window + 1)][node]);
            }
        }
        return moment;
    }

    /// <summary>From this row on the node is not there: its orphans find others once they have noticed.</summary>
    void Bury(int stripe, int row, int node)
    {
        _dead[stripe][node] = true;
        var noticed = _diesAt[node] + (_scene.Death == Death.Silence ? Suspicion : _latency);
        var parent = _parents[stripe][node];
        Detach(stripe, node, parent);
        var seat = parent == Server ? _scene.Nodes : parent;
        // Where nobody comes in its place, it is waited for longer.
        var released = _scene.Death == Death.Silence && _children[stripe][node].Count == 0 
            ? _diesAt[node] + (_scene.Options.Silence + (_scene.Options.KeepAlive / 2)).TotalSeconds
            : noticed;
        _held[stripe][seat] = (row, Math.Max(_held[stripe][seat].Until, released));
        foreach (var orphan in _children[stripe][node].ToArray())
        {
            Detach(stripe, orphan, node);
            var (adopter, found) = Adopter(stripe, orphan, node, noticed);
            _parents[stripe][orphan] = adopter;
            _begun[stripe][orphan] = found + (ConnectLatencies * _latency);
            var place = adopter == Server ? _scene.Nodes : adopter;
            _children[stripe][place].Add(orphan);
            _load[place]++;
        }
        _order[stripe] = Ordered(stripe);
    }

    void Detach(int stripe, int node, int parent)
    {
        var seat = parent == Server ? _scene.Nodes : parent;
        _children[stripe][seat].Remove(node);
        _load[seat]--;
    }

    (int Adopter, double Found) Adopter(int stripe, int orphan, int lost, double noticed)
    {
        var asked = noticed + (ProbeLatencies * _latency);
        var passedDead = true; // the lost one itself is asked as well
        foreach (var candidate in _plan.Candidates(stripe, orphan).SkipWhile(c => c != _parents[stripe][orphan] && c != lost).Where(c => c != lost))
        {
            if (_diesAt[candidate] > asked && !_dead[stripe][candidate])
            {
                return (candidate, asked + (passedDead && _scene.Death == Death.Silence ? _scene.Options.ProbeGrace.TotalSeconds : 0));
            }
            passedDead = true;
        }
        return (Server, asked + (passedDead && _scene.Death == Death.Silence ? _scene.Options.Probe.TotalSeconds : 0));
    }

    double Suspicion => Math.Min(_scene.Options.Suspect.TotalSeconds, _scene.Options.Silence.TotalSeconds);

    static List<int>[] ChildLists(ImmutableArray<int> parents)
    {
        var lists = Enumerable.Range(0, parents.Length + 1).Select(_ => new List<int>()).ToArray();
        for (var i = 0; i < parents.Length; i++)
        {
            lists[parents[i] == Server ? parents.Length : parents[i]].Add(i);
        }
        return lists;
    }

    /// <summary>Living nodes, each after the one it asks.</summary>
    int[] Ordered(int stripe)
    {
        var order = new List<int>(_children[stripe][_scene.Nodes]);
        for (var at = 0; at < order.Count; at++)
        {
            order.AddRange(_children[stripe][order[at]]);
        }
        return [.. order];
    }
}

using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.Nodes;

namespace Ka.Engine.Automata;

/// <summary>
/// The whole policy of splitting, retrying, falling back and gathering, as a pure function: <see cref="Apply"/> of an event gives
/// the next automaton and what to do. No clock, no input, no thread. Folding the journal gives the state after a crash.
/// </summary>
/// <param name="Running">Groups with nodes that have no result yet.</param>
/// <param name="Gathering">Nodes that wait at a gathering step.</param>
/// <param name="Under">How many nodes run at each position.</param>
public sealed record Automaton(
    Plan Plan,
    ImmutableDictionary<int, NodeGroup> Running,
    ImmutableDictionary<Position, NodeBits> Gathering,
    ImmutableDictionary<Position, int> Under,
    NodeBits Nodes,
    NodeBits Ok,
    NodeBits Ko,
    int NextGroup)
{
    public static Automaton For(Plan plan) => new(
        plan,
        ImmutableDictionary<int, NodeGroup>.Empty,
        ImmutableDictionary<Position, NodeBits>.Empty,
        ImmutableDictionary<Position, int>.Empty,
        NodeBits.Empty,
        NodeBits.Empty,
        NodeBits.Empty,
        1);

    /// <summary>Every node has its end.</summary>
    public bool Ended => !Nodes.IsEmpty && Ok.Count + Ko.Count == Nodes.Count;

    /// <summary>Takes one event. Results of groups or nodes that are no longer waited for are ignored.</summary>
    public (Automaton Next, ImmutableArray<Decision> Decisions) Apply(EngineEvent happened)
    {
        var turn = new Turn(this);
        switch (happened)
        {
            case EngineEvent.Started started:
                turn.Start(started.Nodes);
                break;
            case EngineEvent.Results results:
                turn.Settle(results);
                break;
            case EngineEvent.GatherElapsed elapsed:
                turn.Release(elapsed.At);
                break;
            case EngineEvent.Cancelled cancelled:
                turn.Cancel(cancelled.Why ?? Fault.Of(FaultCodes.OperationCancelled, $"cancelled by {cancelled.By}"));
                break;
        }
        turn.ReleaseComplete();
        return turn.Done();
    }

    /// <summary>One application, written as steps on a local copy that nobody else sees.</summary>
    sealed class Turn(Automaton before)
    {
        readonly ImmutableArray<Decision>.Builder _decisions = ImmutableArray.CreateBuilder<Decision>();
        Automaton _now = before;

        public (Automaton, ImmutableArray<Decision>) Done() => (_now, _decisions.DrainToImmutable());

        public void Start(NodeBits nodes)
        {
            _now = _now with { Nodes = nodes };
            Enter(nodes, new Position(0, 0, 0, 0));
        }

        public void Settle(EngineEvent.Results results)
        {
            if (!_now.Running.TryGetValue(results.Group, out var group))
                return;
            var ok = results.Ok & group.Nodes;
            var left = group.Nodes - ok;
            var failed = new List<NodeFault>();
            foreach (var fault in results.Failed)
            {
                var nodes = fault.Nodes & left;
                if (nodes.IsEmpty)
                    continue;
                failed.Add(fault with { Nodes = nodes });
                left -= nodes;
            }
            Count(group.At, left.Count - group.Nodes.Count);
            _now = _now with
            {
                Running = left.IsEmpty ? _now.Running.Remove(group.Id) : _now.Running.SetItem(group.Id, group with { Nodes = left }),
            };
            if (!ok.IsEmpty)
                Advance(ok, group.At);
            foreach (var fault in failed)
                Recover(fault, group.At);
        }

        public void Release(Position at)
        {
            if (!_now.Gathering.TryGetValue(at, out var nodes))
                return;
            _now = _now with { Gathering = _now.Gathering.Remove(at) };
            Go(nodes, at);
        }

        /// <summary>Starts every gathering for which nobody is under way any more.</summary>
        public void ReleaseComplete()
        {
            foreach (var at in _now.Gathering.Keys.Order(ByPlace.Instance))
                if (!_now.Under.Any(under => under.Value > 0 && Reaches(under.Key, at)))
                    Release(at);
        }

        public void Cancel(Fault why)
        {
            var left = _now.Nodes - _now.Ok - _now.Ko;
            if (left.IsEmpty)
                return;
            _decisions.Add(new Decision.Abandon([.. _now.Running.Keys.Order()]));
            _now = _now with
            {
                Running = _now.Running.Clear(),
                Gathering = _now.Gathering.Clear(),
                Under = _now.Under.Clear(),
            };
            Finish(left, why);
        }

        void Enter(NodeBits nodes, Position at)
        {
            if (!at.In(_now.Plan).Gathers)
            {
                Go(nodes, at);
                return;
            }
            if (_now.Gathering.TryGetValue(at, out var waiting))
                _now = _now with { Gathering = _now.Gathering.SetItem(at, waiting | nodes) };
            else
            {
                _now = _now with { Gathering = _now.Gathering.Add(at, nodes) };
                _decisions.Add(new Decision.AwaitGather(at, _now.Plan.Gather));
            }
        }

        void Go(NodeBits nodes, Position at)
        {
            var group = new NodeGroup(_now.NextGroup, nodes, at);
            _now = _now with { NextGroup = _now.NextGroup + 1, Running = _now.Running.Add(group.Id, group) };
            Count(at, nodes.Count);
            _decisions.Add(new Decision.Run(group));
        }

        void Advance(NodeBits nodes, Position at)
        {
            var macro = _now.Plan.MacroSteps[at.Macro];
            if (at.Micro + 1 < macro.Strategies[at.Strategy].Steps.Length)
                Enter(nodes, at with { Micro = at.Micro + 1 });
            else if (at.Macro + 1 < _now.Plan.MacroSteps.Length)
                Enter(nodes, new Position(at.Macro + 1, 0, 0, 0));
            else
                Finish(nodes, null);
        }

        void Recover(NodeFault failed, Position at)
        {
            var macro = _now.Plan.MacroSteps[at.Macro];
            if (at.Try < macro.Strategies[at.Strategy].Retries)
                Enter(failed.Nodes, at with { Try = at.Try + 1, Micro = 0 });
            else if (at.Strategy + 1 < macro.Strategies.Length)
                Enter(failed.Nodes, new Position(at.Macro, at.Strategy + 1, 0, 0));
            else
                Finish(failed.Nodes, failed.Fault);
        }

        void Finish(NodeBits nodes, Fault? fault)
        {
            _now = fault is null ? _now with { Ok = _now.Ok | nodes } : _now with { Ko = _now.Ko | nodes };
            _decisions.Add(new Decision.Finish(nodes, fault));
        }

        void Count(Position at, int change)
        {
            var count = _now.Under.GetValueOrDefault(at) + change;
            _now = _now with { Under = count == 0 ? _now.Under.Remove(at) : _now.Under.SetItem(at, count) };
        }

        /// <summary>Whether a node now at <paramref name="from"/> will come to <paramref name="gathering"/> unless it fails.</summary>
        static bool Reaches(Position from, Position gathering) =>
            from.Macro == gathering.Macro
                ? from.Strategy == gathering.Strategy && from.Try == gathering.Try && from.Micro < gathering.Micro
                : from.Macro < gathering.Macro && gathering is { Strategy: 0, Try: 0 };
    }

    sealed class ByPlace : IComparer<Position>
    {
        public static readonly ByPlace Instance = new();

        public int Compare(Position x, Position y) =>
            (x.Macro, x.Strategy, x.Try, x.Micro).CompareTo((y.Macro, y.Strategy, y.Try, y.Micro));
    }
}

using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Ka.Core;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;

namespace Ka.Simulation;

/// <summary>How one simulated machine misbehaves.</summary>
public enum Misbehaviour
{
    /// <summary>Its BMC accepts a soft reboot and does nothing.</summary>
    IgnoresSoft,

    /// <summary>Its BMC accepts soft and hard resets and does nothing.</summary>
    IgnoresHard,

    /// <summary>Its BMC does not answer.</summary>
    DeadBmc,

    /// <summary>It never asks DHCP.</summary>
    NoCable,

    /// <summary>It dies while it receives the image, once.</summary>
    DiesInBroadcast,

    /// <summary>Its disk gives errors at every partitioning.</summary>
    BadDisk,

    /// <summary>What it reads back from its disk is not what was written.</summary>
    FlipsBits,

    /// <summary>kexec leaves it hanging.</summary>
    HangsInKexec,

    /// <summary>The deployed system never answers, whatever boots it.</summary>
    NeverBoots,

    /// <summary>Its running system lets nobody in by ssh.</summary>
    RefusesSsh,

    /// <summary>Custom operations fail on it, the first time.</summary>
    FailsOperationOnce,

    /// <summary>Everything takes it five times as long.</summary>
    Slow,
}

/// <summary>Mean durations of a simulated machine, and how often luck strikes.</summary>
/// <param name="Loss">Probability that one wait of one node on one try hangs; a quarter of it that a step fails.</param>
public sealed record SimulatedHardware(TimeSpan Reset, TimeSpan Boot, TimeSpan Step, TimeSpan Image, double Loss)
{
    public static readonly SimulatedHardware Sound =
        new(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(90), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60), 0);
}

/// <summary>
/// A cluster that does not exist, behind the same ports as the real one. Luck is a pure function of seed, node, step and try,
/// never of the order in which things happen, so one seed gives one run.
/// </summary>
public sealed class SimulatedWorld : IPower, IBoot, IPresence, IAgents, IBroadcast, ISystems, INetwork
{
    /// <summary>How long an effect is waited for before the next level.</summary>
    static readonly TimeSpan Observed = TimeSpan.FromSeconds(15);

    readonly TimeProvider _clock;
    readonly ulong _seed;
    readonly SimulatedHardware _hardware;
    readonly ILookup<int, Misbehaviour> _faults;
    readonly Machine[] _machines;

    sealed class Machine
    {
        public BootChoice Choice = BootChoice.LocalDisk;
        public DateTimeOffset? BootedAt;
        public bool RunsMinimal, Deployed, DiedOnce, Hangs, IsOn = true;
        public int Draws;
        public ImmutableList<(string Vlan, bool RunsMinimal)> Vlans = [];
    }

    public SimulatedWorld(TimeProvider clock, ulong seed, int nodes, SimulatedHardware hardware, IEnumerable<(int Node, Misbehaviour What)> faults)
    {
        _clock = clock;
        _seed = seed;
        _hardware = hardware;
        _faults = faults.ToLookup(f => f.Node, f => f.What);
        _machines = [.. Enumerable.Range(0, nodes).Select(_ => new Machine())];
    }

    public World World => new(_clock, this, this, this, this, _ => this, this) { Network = this };

    /// <summary>Whether the node runs its deployed system: what the machine is, not what the engine believes.</summary>
    public bool RunsDeployed(int node) => _machines[node] is { Deployed: true, RunsMinimal: false, Hangs: false, IsOn: true } && !Has(node, Misbehaviour.NeverBoots);

    /// <summary>Gives the node a system on its disk, as an earlier deployment would have.</summary>
    public void Install(int node) => _machines[node].Deployed = true;

    /// <summary>Lets the node boot this until another choice, as an earlier operation would have.</summary>
    public void Remember(int node, BootChoice choice) => _machines[node].Choice = choice;

    /// <summary>The VLANs that the node's port was put into, and whether the minimal environment ran there then.</summary>
    public IReadOnlyList<(string Vlan, bool RunsMinimal)> VlansOf(int node) => _machines[node].Vlans;

    public bool IsOn(int node) => _machines[node].IsOn;

    /// <summary>Whether the agent of the minimal environment runs there.</summary>
    public bool RunsMinimal(int node) => _machines[node] is { RunsMinimal: true, IsOn: true };

    /// <summary>When the node last came up, or null.</summary>
    public DateTimeOffset? BootedAt(int node) => _machines[node].BootedAt;

    /// <summary>What the node would boot now.</summary>
    public BootChoice BootsNext(int node) => _machines[node].Choice;

    bool Has(int node, Misbehaviour what) => _faults[node].Contains(what);

    public IAsyncEnumerable<NodeResult> ApplyAsync(NodeBits nodes, PowerAction action, Level level, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (node, token) => ResetAsync(node, action, level, token), n => Late(n, "power"), cancel);

    async Task<Fault?> ResetAsync(int node, PowerAction action, Level level, CancellationToken cancel)
    {
        if (Has(node, Misbehaviour.DeadBmc))
        {
            await Task.Delay(TimeSpan.FromSeconds(20), _clock, cancel);
            return Fault.Of(FaultCodes.PowerBmcUnreachable, "the BMC does not answer");
        }
        await Task.Delay(Around(node, _hardware.Reset), _clock, cancel);
        // What is observed escalates by itself; a reset is believed, and found out later.
        while (action != PowerAction.Reboot && Ignores(node, level))
        {
            await Task.Delay(Observed, _clock, cancel);
            level++;
        }
        if (!Ignores(node, level))
            Switch(node, action);
        return Unlucky(node) ? Fault.Of(FaultCodes.PowerRefused, "the BMC answered with an error") : null;
    }

    bool Ignores(int node, Level level) => level switch
    {
        Level.Soft => Has(node, Misbehaviour.IgnoresSoft) || Has(node, Misbehaviour.IgnoresHard),
        Level.Hard => Has(node, Misbehaviour.IgnoresHard),
        Level.VeryHard => false,
    };

    void Switch(int node, PowerAction action)
    {
        var machine = _machines[node];
        switch (action)
        {
            case PowerAction.Off:
                (machine.IsOn, machine.RunsMinimal) = (false, false);
                break;
            case PowerAction.On when machine.IsOn:
                break;
            case PowerAction.On:
            case PowerAction.Reboot:
            case PowerAction.Cycle:
                Boot(node);
                break;
        }
    }

    void Boot(int node)
    {
        var machine = _machines[node];
        machine.IsOn = true;
        machine.Hangs = false;
        machine.BootedAt = _clock.GetUtcNow();
        machine.RunsMinimal = machine.Choice == BootChoice.Minimal && !Has(node, Misbehaviour.NoCable);
    }

    public async IAsyncEnumerable<NodeResult> ChooseAsync(NodeBits nodes, BootChoice choice, AttemptId attempt, [EnumeratorCancellation] CancellationToken cancel)
    {
        await ValueTask.CompletedTask;
        foreach (var node in nodes)
        {
            cancel.ThrowIfCancellationRequested();
            _machines[node].Choice = choice;
            yield return NodeResult.Done(node);
        }
    }

    public IAsyncEnumerable<NodeResult> AgentsAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (node, token) => AgentAsync(node, pace, token), n => Fault.Of(FaultCodes.BootNoAgent, "the agent never reported"), cancel);

    async Task<Fault?> AgentAsync(int node, Pace pace, CancellationToken cancel)
    {
        if (!_machines[node].RunsMinimal)
        {
            await Task.Delay(pace.FirstSign ?? pace.Deadline, _clock, cancel);
            return Fault.Of(FaultCodes.BootNoDhcp, "no DHCP request came");
        }
        if (Luck(node) < _hardware.Loss)
            await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancel);
        await Task.Delay(Around(node, _hardware.Boot), _clock, cancel);
        return null;
    }

    public IAsyncEnumerable<NodeResult> DeployedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, DeployedAsync, n => Fault.Of(FaultCodes.BootNoSsh, "no answer on the ssh port"), cancel);

    public IAsyncEnumerable<NodeResult> PlaceAsync(NodeBits nodes, string vlan, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (node, token) => PlaceAsync(node, vlan, token), n => Late(n, "vlan"), cancel);

    async Task<Fault?> PlaceAsync(int node, string vlan, CancellationToken cancel)
    {
        await Task.Delay(Around(node, _hardware.Step), _clock, cancel);
        _machines[node].Vlans = _machines[node].Vlans.Add((vlan, RunsMinimal(node)));
        return null;
    }

    public IAsyncEnumerable<NodeResult> LoadedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, LoadedAsync, n => Fault.Of(FaultCodes.BootNoDhcp, "no DHCP request came"), cancel);

    async Task<Fault?> LoadedAsync(int node, CancellationToken cancel)
    {
        if (Has(node, Misbehaviour.NoCable) || _machines[node] is not { Choice: BootChoice.Profile, IsOn: true })
            await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancel);
        await Task.Delay(Around(node, _hardware.Boot / 3), _clock, cancel);
        return null;
    }

    async Task<Fault?> DeployedAsync(int node, CancellationToken cancel)
    {
        if (!RunsDeployed(node) || Luck(node) < _hardware.Loss)
            await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancel);
        await Task.Delay(Around(node, _hardware.Boot / 3), _clock, cancel);
        return null;
    }

    public IAsyncEnumerable<NodeResult> DoAsync(NodeBits nodes, AgentTask task, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (node, token) => DoAsync(node, task, token), n => Late(n, task.ToString()), cancel);

    async Task<Fault?> DoAsync(int node, AgentTask task, CancellationToken cancel)
    {
        var machine = _machines[node];
        if (!machine.RunsMinimal)
            return Fault.Of(FaultCodes.AgentLost, "the agent is not connected");
        await Task.Delay(Around(node, _hardware.Step), _clock, cancel);
        if (task == AgentTask.Partition && Has(node, Misbehaviour.BadDisk))
            return Fault.Of(FaultCodes.DiskIoError, "write error on the disk");
        if (task == AgentTask.Verify && Has(node, Misbehaviour.FlipsBits))
            return Fault.Of(FaultCodes.DiskMismatch, "1 thing(s) on the disk are not as packed, the first at /bin/sh");
        if (task is AgentTask.Kexec or AgentTask.Reboot)
        {
            machine.RunsMinimal = false;
            machine.Hangs = task == AgentTask.Kexec && Has(node, Misbehaviour.HangsInKexec);
        }
        return Unlucky(node) ? Fault.Of(FaultCodes.ScriptFailed, "exit status 1") : null;
    }

    public IAsyncEnumerable<NodeResult> OperateAsync(NodeBits nodes, CustomOperation operation, int again, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (node, token) => OperateAsync(node, operation, again, token), n => Late(n, operation.Name), cancel);

    async Task<Fault?> OperateAsync(int node, CustomOperation operation, int again, CancellationToken cancel)
    {
        if (!_machines[node].RunsMinimal)
            return Fault.Of(FaultCodes.AgentLost, "the agent is not connected");
        await Task.Delay(Around(node, _hardware.Step), _clock, cancel);
        Operated.Add((node, operation.Name));
        return Has(node, Misbehaviour.FailsOperationOnce) && again == 0 ? Fault.Of(FaultCodes.ScriptFailed, "exit status 1") : null;
    }

    /// <summary>Custom operations in the order in which they ran, each on one node.</summary>
    public List<(int Node, string Name)> Operated { get; } = [];

    IAsyncEnumerable<NodeResult> ISystems.DoAsync(NodeBits nodes, SystemTask task, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, LeaveSystemAsync, n => Fault.Of(FaultCodes.SystemUnreachable, "no answer on the ssh port"), cancel);

    async Task<Fault?> LeaveSystemAsync(int node, CancellationToken cancel)
    {
        await Task.Delay(Around(node, _hardware.Step), _clock, cancel);
        if (Has(node, Misbehaviour.RefusesSsh))
            return Fault.Of(FaultCodes.SystemUnreachable, "permission denied");
        Boot(node);
        return null;
    }

    public IAsyncEnumerable<NodeResult> SendAsync(NodeBits nodes, int part, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, ReceiveAsync, n => Late(n, "image"), cancel);

    async Task<Fault?> ReceiveAsync(int node, CancellationToken cancel)
    {
        var machine = _machines[node];
        if (!machine.RunsMinimal)
            return Fault.Of(FaultCodes.AgentLost, "the agent is not connected");
        await Task.Delay(Around(node, _hardware.Image), _clock, cancel);
        if (Has(node, Misbehaviour.DiesInBroadcast) && !machine.DiedOnce)
        {
            machine.DiedOnce = true;
            machine.RunsMinimal = false;
            return Fault.Of(FaultCodes.AgentLost, "the agent fell silent while it received the image");
        }
        machine.Deployed = true;
        return Unlucky(node) ? Fault.Of(FaultCodes.ImageExtractFailed, "tar ended with status 2") : null;
    }

    static Fault Late(int node, string what) => Fault.Of(FaultCodes.StepTimeout, $"{what} took too long");

    TimeSpan Around(int node, TimeSpan mean) => mean * ((0.7 + 0.6 * Luck(node)) * (Has(node, Misbehaviour.Slow) ? 5 : 1));

    bool Unlucky(int node) => Luck(node) < _hardware.Loss / 4;

    /// <summary>In [0,1); the n-th draw of one node, the same whatever other nodes do.</summary>
    double Luck(int node) => (SplitMix64.At(_seed, (ulong)node * 4096 + (ulong)_machines[node].Draws++) >> 11) * (1.0 / (1UL << 53));
}

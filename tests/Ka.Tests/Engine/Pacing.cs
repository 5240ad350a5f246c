using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Simulation;

namespace Ka.Tests.Engine;

public class Pacing
{
    static readonly FaultCode Late = new("test.late");

    [Fact]
    public void Never_more_nodes_than_the_window_holds_are_at_it_at_once()
    {
        var (most, elapsed) = VirtualStrand.Run(async clock =>
        {
            var (now, highest) = (0, 0);
            await foreach (var result in FanOut.Over(NodeBits.Range(20), Pace(3, 60, clock), At, _ => Fault.Of(Late, ""), CancellationToken.None))
                Assert.True(result.Ok);
            return highest;

            async Task<Fault?> At(int node, CancellationToken cancel)
            {
                highest = Math.Max(highest, ++now);
                await Task.Delay(TimeSpan.FromSeconds(1), clock, cancel);
                now--;
                return null;
            }
        });
        Assert.Equal(3, most);
        Assert.Equal(TimeSpan.FromSeconds(7), elapsed);
    }

    [Fact]
    public void Two_sets_share_one_window()
    {
        var (most, _) = VirtualStrand.Run(async clock =>
        {
            var window = new Window(2);
            var (now, highest) = (0, 0);
            await Task.WhenAll(All(NodeBits.Range(4)), All(NodeBits.Range(5)));
            return highest;

            async Task All(NodeBits nodes)
            {
                await foreach (var _ in FanOut.Over(nodes, new Pace(window, TimeSpan.FromMinutes(1), clock), At, _ => Fault.Of(Late, ""), CancellationToken.None))
                {
                }
            }

            async Task<Fault?> At(int node, CancellationToken cancel)
            {
                highest = Math.Max(highest, ++now);
                await Task.Delay(TimeSpan.FromSeconds(1), clock, cancel);
                now--;
                return null;
            }
        });
        Assert.Equal(2, most);
    }

    [Fact]
    public void A_deadline_begins_at_the_nodes_turn()
    {
        // Each takes 8 of 10 seconds; with one place the last begins after 72 seconds and still is not late.
        var (late, elapsed) = VirtualStrand.Run(clock => Faults(NodeBits.Range(10), Pace(1, 10, clock), async (_, cancel) =>
        {
            await Task.Delay(TimeSpan.FromSeconds(8), clock, cancel);
            return null;
        }));
        Assert.Empty(late);
        Assert.Equal(TimeSpan.FromSeconds(80), elapsed);
    }

    [Fact]
    public void Who_is_late_gets_the_fault_of_lateness_and_gives_its_place_back()
    {
        var (late, elapsed) = VirtualStrand.Run(clock => Faults(NodeBits.Range(4), Pace(2, 10, clock), async (node, cancel) =>
        {
            await Task.Delay(node < 2 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(1), clock, cancel);
            return null;
        }));
        Assert.Equal([(0, Late), (1, Late)], late);
        Assert.Equal(TimeSpan.FromSeconds(11), elapsed);
    }

    [Fact]
    public void An_exception_is_that_nodes_fault_alone()
    {
        var (faults, _) = VirtualStrand.Run(clock => Faults(NodeBits.Range(3), Pace(3, 10, clock), (node, _) =>
            node == 1 ? throw new InvalidOperationException("a bug") : Task.FromResult<Fault?>(null)));
        Assert.Equal([(1, FaultCodes.StepCrashed)], faults);
    }

    [Fact]
    public void Cancelling_ends_the_stream_and_frees_every_place()
    {
        var (places, _) = VirtualStrand.Run(async clock =>
        {
            var window = new Window(2);
            using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(5), clock);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                await foreach (var _ in FanOut.Over(NodeBits.Range(6), new Pace(window, TimeSpan.FromMinutes(1), clock), Forever, _ => Fault.Of(Late, ""), stop.Token))
                {
                }
            });
            return (await window.EnterAsync(CancellationToken.None), await window.EnterAsync(CancellationToken.None));

            async Task<Fault?> Forever(int node, CancellationToken cancel)
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, clock, cancel);
                return null;
            }
        });
        Assert.Equal((true, true), places);
    }

    [Fact]
    public void Places_are_given_in_the_order_of_asking_and_not_to_who_has_gone()
    {
        var (order, _) = VirtualStrand.Run(async clock =>
        {
            var window = new Window(1);
            var came = new List<int>();
            using var gone = new CancellationTokenSource();
            await window.EnterAsync(CancellationToken.None);
            var waiting = new[] { Wait(1, default), Wait(2, gone.Token), Wait(3, default) };
            gone.Cancel();
            window.Leave();
            await Task.WhenAll(waiting);
            return came;

            async Task Wait(int who, CancellationToken cancel)
            {
                if (!await window.EnterAsync(cancel))
                    return;
                came.Add(who);
                window.Leave();
            }
        });
        Assert.Equal([1, 3], order);
    }

    [Fact]
    public void A_continuation_from_another_thread_ends_the_simulation_with_the_reason()
    {
        var escaped = Assert.Throws<InvalidOperationException>(() => VirtualStrand.Run(async clock =>
        {
            var strand = SynchronizationContext.Current!;
            var other = new Thread(() => strand.Post(_ => { }, null));
            other.Start();
            other.Join();
            await Task.Delay(TimeSpan.FromSeconds(1), clock);
            return 0;
        }));
        Assert.Contains("another thread", escaped.Message);
    }

    [Fact]
    public void Waiting_for_nothing_ends_the_simulation_with_the_reason()
    {
        var stuck = Assert.Throws<InvalidOperationException>(() => VirtualStrand.Run(_ => new TaskCompletionSource<int>().Task));
        Assert.Contains("no timer is armed", stuck.Message);
    }

    static Pace Pace(int window, int seconds, TimeProvider clock) => new(new Window(window), TimeSpan.FromSeconds(seconds), clock);

    static async Task<List<(int, FaultCode)>> Faults(NodeBits nodes, Pace pace, Func<int, CancellationToken, Task<Fault?>> one)
    {
        var faults = new List<(int, FaultCode)>();
        await foreach (var result in FanOut.Over(nodes, pace, one, _ => Fault.Of(Late, ""), CancellationToken.None))
            if (result.Fault is { } fault)
                faults.Add((result.Node, fault.Code));
        return faults;
    }
}

using Ka.Simulation;

namespace Ka.Tests.Simulation;

public class VirtualClocks
{
    [Fact]
    public async Task Timers_that_several_threads_arm_while_another_lets_time_pass_fire_once_each()
    {
        const int Threads = 4, Each = 20_000;
        var clock = new VirtualTime();
        var fired = 0;
        var arming = Task.WhenAll(Enumerable.Range(0, Threads).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < Each; i++)
                clock.CreateTimer(_ => fired++, null, TimeSpan.FromTicks(i % 100), Timeout.InfiniteTimeSpan);
        })));
        while (!arming.IsCompleted)
            clock.FireNext();
        await arming;
        while (clock.FireNext())
        {
        }
        Assert.Equal(Threads * Each, fired);
    }

    [Fact]
    public void A_clock_is_awaited_as_long_as_a_timer_is_armed()
    {
        var clock = new VirtualTime();
        Assert.False(clock.IsAwaited);
        var timer = clock.CreateTimer(_ => { }, null, TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        Assert.True(clock.IsAwaited);
        Assert.True(clock.FireNext());
        Assert.False(clock.IsAwaited);
        timer.Change(TimeSpan.FromSeconds(1), Timeout.InfiniteTimeSpan);
        Assert.True(clock.IsAwaited);
        timer.Dispose();
        Assert.False(clock.IsAwaited);
        Assert.False(clock.FireNext());
        Assert.Equal(TimeSpan.FromSeconds(1), clock.Elapsed);
    }
}

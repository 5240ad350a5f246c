using Ka.Agent.Verification;

namespace Ka.Tests.Agent;

public class DeployedChangesTests
{
    [Theory]
    [InlineData("/etc/hostname")]
    [InlineData("/tmp")]
    [InlineData("/tmp/.X11-unix")]
    [InlineData("/var/lib/systemd/random-seed")]
    [InlineData("/var/log/journal/0123")]
    public void What_a_running_system_writes_for_itself_is_left_out(string path) => Assert.True(DeployedChanges.Contain(path));

    [Theory]
    [InlineData("/etc/profile")]
    [InlineData("/usr/bin/env")]
    [InlineData("/tmpfiles")]
    [InlineData("/var/lib/dpkg/status")]
    public void What_was_packed_is_compared(string path) => Assert.False(DeployedChanges.Contain(path));

    [Fact]
    public void Services_may_add_state_and_nobody_programs()
    {
        Assert.True(DeployedChanges.MayAdd("/var/lib/chrony/drift"));
        Assert.False(DeployedChanges.MayAdd("/usr/bin/more"));
    }
}

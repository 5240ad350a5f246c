using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Protocol.Rest;
using Ka.Simulation;

namespace Ka.Tests.Cli;

/// <summary>Inventory lines of machines that were seen.</summary>
public sealed class AcceptingMachines
{
    static readonly UnknownMachineReply[] Seen =
    [
        new("52:54:00:00:00:0a", "uefi", 7, null, "10.0.0.77", DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, 1),
        new("52:54:00:00:00:0b", "bios", 0, null, null, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, 4),
    ];

    static string Lines(string[] chosen, string? names = null, string? first = null)
    {
        var (lines, refusal) = DiscoverCommand.Inventory(Seen, chosen, names, first);
        return refusal ?? string.Join(' ', lines);
    }

    [Theory]
    [InlineData(false, "1970-01-01T00:00:00Z  52:54:00:00:00:0a  uefi  -  10.0.0.77\n1970-01-01T00:00:00Z  52:54:00:00:00:0b  bios  -  -\n")]
    [InlineData(true, "{\"mac\":\"52:54:00:00:00:0a\"{\"mac\":\"52:54:00:00:00:0b\"")]
    public void Who_watches_is_told_of_each_machine_once_until_the_server_is_gone(bool json, string expected)
    {
        var output = new StringWriter();
        var (status, elapsed) = VirtualStrand.Run(async clock =>
        {
            FlowConsole.Redirect(output, new StringWriter());
            var asked = 0;
            return await DiscoverCommand.WatchAsync(
                () => Task.FromResult(++asked > 4
                    ? new Answer<UnknownMachineReply[]>(null, new Problem("urn:ka:fault:server.unreachable", null, 503, "gone", "server.unreachable", null, null, null))
                    : new Answer<UnknownMachineReply[]>(asked == 1 ? [] : Seen[..Math.Min(asked - 1, 2)], null)),
                json, clock, CancellationToken.None);
        });
        Assert.Equal((ExitCodes.Unreachable, TimeSpan.FromSeconds(4)), (status, elapsed));
        Assert.Equal(expected, json ? string.Concat(output.ToString().Split('\n').Select(l => l.Split(',')[0])) : output.ToString());
    }

    [Fact]
    public void All_get_names_in_the_order_in_which_they_were_seen_and_addresses_counted_up_over_the_end_of_a_byte() => Assert.Equal(
        "name,mac,address,firmware node10,52:54:00:00:00:0a,10.0.0.255,uefi node11,52:54:00:00:00:0b,10.0.1.0,bios", Lines([], "node[10-20]", "10.0.0.255"));

    [Fact]
    public void What_is_printed_is_what_the_import_reads()
    {
        var errors = new List<string>();
        var yaml = NodeUseCommands.ClusterFile("gris", "-", Lines(["52-54-00-00-00-0A=gris-9"]).Replace(' ', '\n') + "\n", errors);
        Assert.Empty(errors);
        Assert.Equal("cluster: \"gris\"\nnodes:\n  \"gris-9\": { mac: \"52:54:00:00:00:0a\", address: \"10.0.0.77\", firmware: \"uefi\" }\n", yaml);
    }

    [Theory]
    [InlineData("52:54:00:00:00:0c=a", "no unknown machine has the address 52:54:00:00:00:0c")]
    [InlineData("gris-1", "--accept 'gris-1' is not MAC=NAME")]
    [InlineData("52:54:00:00:00:0a=a b", "--accept '52:54:00:00:00:0a=a b' is not MAC=NAME")]
    [InlineData("52:54:00:00:00:0a=a 52:54:00:00:00:0b=a", "a stands twice")]
    public void What_cannot_be_accepted_is_said(string chosen, string refusal) => Assert.Equal(refusal, Lines(refusal.Contains("a b'") ? [chosen] : chosen.Split(' ')));

    [Fact]
    public void More_machines_than_names_is_refused() => Assert.Equal("2 machines are unknown, and 'node1' has 1 names", Lines([], "node1"));
}

using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Ka.Cli.Consoles;
using Ka.Core.Clusters;
using Ka.Drivers.Consoles;
using Ka.Simulation;

namespace Ka.Tests.Consoles;

/// <summary>Detach keys, the terminal's modes, and the programs behind a line.</summary>
public sealed unsafe partial class ConsoleKeys
{
    [Theory]
    [InlineData("~", "ls\r", "ls\r", false)]
    [InlineData("~", "~.", "", true)]
    [InlineData("~", "ls\r~.rest", "ls\r", true)]
    [InlineData("~", "ls\n~.", "ls\n", true)]
    [InlineData("~", "ls ~.\r", "ls ~.\r", false)]
    [InlineData("~", "~~.\r", "~.\r", false)]
    [InlineData("~", "~/bin\r", "~/bin\r", false)]
    [InlineData("~", "~\r~.", "~\r", true)]
    [InlineData("^", "~.^.", "~.^.", false)]
    [InlineData("^", "~.\r^.", "~.\r", true)]
    [InlineData("none", "~.\r~.", "~.\r~.", false)]
    public void The_detach_keys_count_at_the_beginning_of_a_line_only(string escape, string typed, string sent, bool detached)
    {
        foreach (var atOnce in (bool[])[true, false])
        {
            var keys = new EscapeKeys(escape == "none" ? null : (byte)escape[0]);
            var got = new StringBuilder();
            var left = false;
            foreach (var piece in atOnce ? [typed] : typed.Select(c => c.ToString()))
            {
                if (left)
                    break;
                (var more, left) = keys.Read(Encoding.UTF8.GetBytes(piece));
                got.Append(Encoding.UTF8.GetString(more));
            }
            Assert.Equal((sent, detached), (got.ToString(), left));
        }
    }

    [Fact]
    public void A_terminal_is_raw_while_the_console_is_open_and_then_as_it_was()
    {
        var main = PosixOpenPt(2 | 0x100);
        Assert.True(main >= 0 && GrantPt(main) == 0 && UnlockPt(main) == 0);
        try
        {
            var before = Modes(main);
            using (RawTerminal.Enter(main, () => { }))
                Assert.NotEqual(before, Modes(main));
            Assert.Equal(before, Modes(main));
            Assert.Null(RawTerminal.Enter(-1, () => { }));
        }
        finally
        {
            Close(main);
        }
    }

    static byte[] Modes(int file)
    {
        var modes = new byte[128];
        fixed (byte* into = modes)
            Assert.Equal(0, TcGetAttr(file, into));
        return modes;
    }

    [Fact]
    public void A_line_is_the_sites_program_else_serial_over_lan_else_none()
    {
        var node = SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with
        {
            Address = "10.0.0.1",
            Power = new PowerSettings("ipmi", "10.1.0.1", 623, "admin", "/secret/bmc", 17, ImmutableDictionary<string, ImmutableArray<string>>.Empty),
        };
        Assert.Equal("/usr/bin/ipmitool -I lanplus -C 17 -H 10.1.0.1 -p 623 -U admin -f /secret/bmc -N 2 -R 3 -e \u001f sol activate", string.Join(' ', ConsoleProgram.Arguments(node)));
        Assert.Equal(["/usr/bin/telnet", "10.1.0.1", "gris-1; reboot"], ConsoleProgram.Arguments(node with { Console = ["/usr/bin/telnet", "{host}", "{node}; reboot"] }));
        Assert.Empty(ConsoleProgram.Arguments(node with { Power = node.Power with { Kind = "redfish" } }));
    }

    [LibraryImport("libc", EntryPoint = "posix_openpt")]
    private static partial int PosixOpenPt(int flags);

    [LibraryImport("libc", EntryPoint = "grantpt")]
    private static partial int GrantPt(int file);

    [LibraryImport("libc", EntryPoint = "unlockpt")]
    private static partial int UnlockPt(int file);

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int TcGetAttr(int file, byte* state);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}

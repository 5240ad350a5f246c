using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Power;
using Ka.Drivers.Probes;
using Ka.Drivers.Programs;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>What every power driver keeps to.</summary>
public abstract class PowerDriverContract
{
    internal abstract IPowerDriver Driver { get; }

    internal abstract ClusterNode Node { get; }

    internal abstract ImmutableArray<string> Arguments(PowerVerb verb);

    internal abstract PowerReply Parse(PowerVerb verb, ProgramResult result);

    internal abstract string Says(bool on);

    [Fact]
    public void It_is_found_by_its_name() => Assert.Same(Driver.GetType(), PowerDrivers.Of(TimeProvider.System, (_, _, _) => throw new InvalidOperationException("nothing runs here")).Find(Driver.Kind)?.GetType());

    [Fact]
    public void It_knows_how_to_switch_on_and_off_and_to_look() =>
        Assert.All([PowerVerb.Status, PowerVerb.On, PowerVerb.Off], verb => Assert.True(Driver.Knows(Node, verb)));

    [Fact]
    public void It_reads_the_state_that_it_asked_for()
    {
        Assert.Equal(new PowerReply(null, true), Parse(PowerVerb.Status, new ProgramResult(0, Says(true), "")));
        Assert.Equal(new PowerReply(null, false), Parse(PowerVerb.Status, new ProgramResult(0, Says(false), "")));
    }

    [Theory]
    [InlineData(PowerVerb.Status), InlineData(PowerVerb.On), InlineData(PowerVerb.Off), InlineData(PowerVerb.SoftOff), InlineData(PowerVerb.Reset), InlineData(PowerVerb.BootNetwork)]
    public void A_program_that_fails_or_cannot_be_started_is_a_fault_with_what_was_seen(PowerVerb verb)
    {
        foreach (var exit in new int?[] { 1, null })
        {
            var fault = Parse(verb, new ProgramResult(exit, "", "what it said")).Fault;
            Assert.Equal(FaultCodes.PowerRefused, fault?.Code);
            Assert.Equal("what it said", fault?.Evidence);
        }
    }

    [Fact]
    public void A_failed_command_is_a_fault_whatever_state_it_printed() =>
        Assert.NotNull(Parse(PowerVerb.On, new ProgramResult(1, Says(true), "refused")).Fault);

    [Fact]
    public void A_status_that_says_nothing_is_a_fault() => Assert.NotNull(Parse(PowerVerb.Status, new ProgramResult(0, "", "")).Fault);

    [Fact]
    public void No_secret_is_an_argument() =>
        Assert.All(Enum.GetValues<PowerVerb>().Where(v => Driver.Knows(Node, v)), verb => Assert.DoesNotContain(Arguments(verb), a => a is "-P" or "-E"));
}

public sealed class IpmiPowerTests : PowerDriverContract
{
    static readonly ClusterNode Bios = SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with
    {
        Power = new PowerSettings("ipmi", "10.1.0.1", 623, "admin", "/secret/bmc", 17, ImmutableDictionary<string, ImmutableArray<string>>.Empty),
    };

    internal override IPowerDriver Driver { get; } = new IpmiPower(ExternalProgram.RunAsync);

    internal override ClusterNode Node => Bios;

    internal override ImmutableArray<string> Arguments(PowerVerb verb) => IpmiPower.Arguments(Bios, verb);

    internal override PowerReply Parse(PowerVerb verb, ProgramResult result) => IpmiPower.Parse(verb, Bios, result);

    internal override string Says(bool on) => on ? "Chassis Power is on\n" : "Chassis Power is off\n";

    [Theory]
    [InlineData(PowerVerb.Status, "chassis power status")]
    [InlineData(PowerVerb.On, "chassis power on")]
    [InlineData(PowerVerb.Off, "chassis power off")]
    [InlineData(PowerVerb.SoftOff, "chassis power soft")]
    [InlineData(PowerVerb.Reset, "chassis power reset")]
    [InlineData(PowerVerb.BootNetwork, "chassis bootdev pxe")]
    public void A_verb_is_one_command_line_with_the_password_in_a_file(PowerVerb verb, string words) => Assert.Equal(
        "-I lanplus -C 17 -H 10.1.0.1 -p 623 -U admin -f /secret/bmc -N 2 -R 3 " + words, string.Join(' ', Arguments(verb)));

    [Fact]
    public void A_uefi_node_boots_from_the_network_by_efi() =>
        Assert.Equal("options=efiboot", IpmiPower.Arguments(Bios with { Firmware = "uefi" }, PowerVerb.BootNetwork)[^1]);

    [Theory, InlineData(0), InlineData(1), InlineData(255)]
    public void Cipher_suites_that_let_everybody_in_are_never_asked_for(int cipher) => Assert.Throws<ArgumentOutOfRangeException>(() =>
        IpmiPower.Arguments(Bios with { Power = Bios.Power with { Cipher = cipher } }, PowerVerb.Status));

    [Theory]
    [InlineData("Error: Unable to establish IPMI v2 / RMCP+ session", "power.bmc_unreachable")]
    [InlineData("Get Session Challenge command failed", "power.bmc_unreachable")]
    [InlineData("No response from remote controller", "power.bmc_unreachable")]
    [InlineData("Set Chassis Power Control to Up/On failed: Command not supported in present state", "power.refused")]
    public void What_ipmitool_says_tells_silence_from_refusal(string errors, string code)
    {
        Assert.Equal(code, Parse(PowerVerb.On, new ProgramResult(1, "", errors)).Fault?.Code.Text);
        Assert.Equal(code, Parse(PowerVerb.Status, new ProgramResult(1, "", errors)).Fault?.Code.Text);
    }
}

public sealed class CommandPowerTests : PowerDriverContract
{
    static readonly ClusterNode Scripted = SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with
    {
        Address = "10.0.0.1",
        Power = new PowerSettings("command", "pdu-7", 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["on"] = ["/site/pdu", "--outlet={node}@{host}", "{address}", "on; rm -rf {node}"],
            ["off"] = ["/site/pdu", "off"],
            ["status"] = ["/site/pdu", "status"],
            ["soft"] = ["/site/soft"],
            ["reset"] = ["/site/reset"],
            ["boot-network"] = ["/site/pxe"],
        }.ToImmutableDictionary()),
    };

    internal override IPowerDriver Driver { get; } = new CommandPower(CommandPower.Own, ExternalProgram.RunAsync);

    internal override ClusterNode Node => Scripted;

    internal override ImmutableArray<string> Arguments(PowerVerb verb) => CommandPower.Arguments(Scripted, verb);

    internal override PowerReply Parse(PowerVerb verb, ProgramResult result) => CommandPower.Parse(verb, result);

    internal override string Says(bool on) => on ? "on\n" : "off\n";

    [Fact]
    public void Placeholders_are_replaced_inside_their_argument_and_no_shell_sees_them() =>
        Assert.Equal(["/site/pdu", "--outlet=gris-1@pdu-7", "10.0.0.1", "on; rm -rf gris-1"], Arguments(PowerVerb.On));

    [Fact]
    public void A_verb_without_a_command_is_not_known() =>
        Assert.False(Driver.Knows(Scripted with { Power = Scripted.Power with { Commands = Scripted.Power.Commands.Remove("reset") } }, PowerVerb.Reset));

    [Theory]
    [InlineData("ON", true), InlineData(" 1 \n", true), InlineData("off since yesterday", false), InlineData("0", false), InlineData("maybe", null)]
    public void The_first_word_of_a_status_counts(string output, bool? on)
    {
        var reply = Parse(PowerVerb.Status, new ProgramResult(0, output, ""));
        Assert.Equal((on, on is null), (reply.On, reply.Fault is not null));
    }
}

public class HostKeys
{
    const string Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne root@gris-1";

    [Theory]
    [InlineData("10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne\n", true)]
    [InlineData("# 10.0.0.1:22 SSH-2.0-OpenSSH_9.2\n10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne\n", true)]
    [InlineData("10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOneMore\n", false)]
    [InlineData("10.0.0.1 ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOne\n", false)]
    [InlineData("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOne\n", false)]
    [InlineData("", false)]
    public void A_system_is_known_by_its_whole_key(string scanned, bool same) => Assert.Equal(same, HostKeyProbe.Matches(scanned, Key));

    [Fact]
    public void A_key_of_one_word_matches_nothing() => Assert.False(HostKeyProbe.Matches("10.0.0.1 ssh-ed25519 AAAA\n", "ssh-ed25519"));

    [Theory]
    [InlineData(null, "boot.no_ssh")]
    [InlineData("port 22 answers without a host key", "boot.no_ssh")]
    [InlineData("port 22 answers with another host key", "boot.wrong_system")]
    public void Lateness_says_what_answered_instead(string? seen, string code)
    {
        var fault = HostKeyProbe.Late(seen);
        Assert.Equal((code, seen), (fault.Code.Text, fault.Evidence));
    }
}

using System.Collections.Immutable;
using System.CommandLine;
using Ka.Core.Clusters;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary>The options of <c>ka deploy</c> that change how it is done.</summary>
sealed class DeployWishes
{
    readonly Option<string[]> _strategies = new("--strategy")
    {
        Description = "Strategies of a macro step: minimal-env=kexec,untrusted:1:300s  install=…  boot=classical", AllowMultipleArgumentsPerToken = true,
    };

    readonly Option<bool> _noKexec = new("--no-kexec") { Description = "Never start a kernel by kexec, neither first nor last" };
    readonly Option<bool> _noPartitioning = new("--no-partitioning") { Description = "Leave the partition table and all but the deploy partition as they are" };
    readonly Option<bool> _noBootloader = new("--no-bootloader") { Description = "Install no bootloader" };
    readonly Option<string?> _breakpoint = new("--breakpoint") { Description = "Stop before MACRO or MACRO:STEP and leave the nodes as they are" };
    readonly Option<string?> _tmp = new("--reformat-tmp") { Description = "Make this file system on the partition 'tmp'" };
    readonly Option<string?> _custom = new("--custom-steps") { Description = "File with custom operations before, after or instead of micro steps" };

    readonly Option<string?> _profile = new("--boot-profile") { Description = "File (YAML, or PXELINUX's words) with kernel, initrd and params that the nodes boot from the network at the end, not their disk" };

    readonly Option<string?> _broadcast = new("--broadcast") { Description = "How the image comes to the nodes (default: the cluster's, else auto)" };

    readonly Option<string?> _vlan = new("--vlan") { Description = "Put the nodes into this VLAN when their system boots" };
    readonly Option<bool> _ifNeeded = new("--if-needed") { Description = "Leave nodes alone that have this very environment already" };

    readonly Option<bool> _drained = new("--drained") { Description = "Also nodes that are out of use (operators)" };
    readonly Option<int?> _confirm = new("--confirm-nodes") { Description = "How many nodes are meant, beyond what the site deploys at once without it" };

    public DeployWishes(Command command)
    {
        _broadcast.AcceptOnlyFromAmong([.. BroadcastWays.All.Select(w => w.Word())]);
        foreach (var option in (Option[])[_strategies, _noKexec, _noPartitioning, _noBootloader, _breakpoint, _tmp, _custom, _profile, _broadcast, StragglerOptions.Policy, StragglerOptions.Floor, _vlan, _ifNeeded, _drained, _confirm])
            command.Add(option);
    }

    /// <summary>The request with these wishes; files that custom steps and a boot profile name are sent. Null with a status when one cannot be.</summary>
    public async Task<(DeployBody? Body, int Status)> OverAsync(DeployBody body, ParseResult parsed, Server server, CancellationToken cancel)
    {
        body = body with
        {
            Strategies = [.. parsed.GetValue(_strategies) ?? []],
            NoKexec = parsed.GetValue(_noKexec),
            NoPartitioning = parsed.GetValue(_noPartitioning),
            NoBootloader = parsed.GetValue(_noBootloader),
            Breakpoint = parsed.GetValue(_breakpoint),
            ReformatTmp = parsed.GetValue(_tmp),
            Broadcast = parsed.GetValue(_broadcast),
            Straggler = parsed.GetValue(StragglerOptions.Policy),
            Floor = parsed.GetValue(StragglerOptions.Floor),
            Vlan = parsed.GetValue(_vlan),
            IfNeeded = parsed.GetValue(_ifNeeded),
            Drained = parsed.GetValue(_drained),
            ConfirmNodes = parsed.GetValue(_confirm),
        };
        if (parsed.GetValue(_custom) is { } custom)
        {
            var (steps, status) = await NamedFiles.SendAsync(custom, "api/v1/deployments/files", "operation.invalid", server, cancel);
            if (steps is null)
                return (null, status);
            body = body with { CustomSteps = steps };
        }
        if (parsed.GetValue(_profile) is { } file)
        {
            var (profile, status) = await NamedFiles.SendAsync(file, "api/v1/deployments/boot-profile/files", "profile.invalid", server, cancel);
            if (profile is null)
                return (null, status);
            body = body with { BootProfile = profile };
        }
        return (body, ExitCodes.Done);
    }
}

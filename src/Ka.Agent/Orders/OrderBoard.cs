using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Finds who carries out which order.</summary>
static class OrderBoard
{
    public static Task<OrderOutcome> Carry(AgentOrder order, OrderContext context, Report report, CancellationToken cancel) => order switch
    {
        PartitionDisk partition => Partitioning.Run(partition, context, report, cancel),
        FormatPartitions format => Formatting.Run(format, context, report, cancel),
        MountTarget mount => Mounting.Run(mount, context, cancel),
        ReceiveImage receive => Receiving.Run(receive, context, report, cancel),
        VerifyTarget verify => Verifying.Run(verify, context, report, cancel),
        RunScript script => Scripting.Run(script.Script, context, report, cancel),
        SetIdentity identity => Identity.Run(identity, context, cancel),
        InstallKeys keys => Task.FromResult(Keys.Run(keys, context)),
        InstallHostCertificate certificate => Task.FromResult(HostCertificate.Run(certificate, context)),
        ConfigureNetwork network => Task.FromResult(Networking.Run(network, context)),
        WriteFiles files => Task.FromResult(Putting.Write(files, context)),
        PutFile put => Putting.Run(put, context, cancel),
        InstallBootloader bootloader => Bootloader.Run(bootloader, context, report, cancel),
        SyncTarget sync => Leaving.Sync(sync, context, report, cancel),
        KexecTarget kexec => Leaving.Kexec(kexec, context, report, cancel),
        VerifyWritten verify => ReadingBack.Run(verify, context, report, cancel),
        GrowImage grow => Growing.Run(grow, context, report, cancel),
        SeedCloudInit seed => Seeding.Run(seed, context, report, cancel),
        MakeRoom room => Task.FromResult(PlacedImage.MakeRoom(room, context)),
        RebootNode => Leaving.Reboot(context, report, cancel),
        _ => Task.FromResult<OrderOutcome>(Fault.Of(FaultCodes.AgentProtocol, "This agent does not know the order.", order.GetType().Name)),
    };
}

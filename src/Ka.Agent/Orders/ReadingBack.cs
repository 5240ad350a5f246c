using System.Runtime.InteropServices;
using Ka.Agent.Machine;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="VerifyWritten"/>.</summary>
static class ReadingBack
{
    /// <summary>Differing blocks that are named; more are only counted.</summary>
    const int NamedLimit = 20;

    public static async Task<OrderOutcome> Run(VerifyWritten order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("verify", 0);
        var packed = new byte[order.Hashes.Length];
        if (!Convert.TryFromBase64String(order.Hashes, packed, out var length) || new BlockHashes(order.Place.Bytes, packed.AsMemory(0, length)) is not { IsSound: true } hashes)
        {
            return Fault.Of(FaultCodes.AgentProtocol, "The order to verify contradicts itself.", $"{order.Place.Bytes} bytes, {order.Hashes.Length} characters of hashes");
        }
        var (found, missing) = await WrittenDisk.Find(order.Place, context.Paths, cancel);
        if (found is null)
        {
            return missing!;
        }
        var (device, fault) = BlockDevice.Open(found.Device, write: false);
        if (device is null)
        {
            return fault!;
        }
        using (device)
        {
            return await Task.Factory.StartNew(
                () => Compare(device, hashes, order.Mode, report, cancel), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    static unsafe OrderOutcome Compare(BlockDevice device, BlockHashes hashes, VerifyMode mode, Report report, CancellationToken cancel)
    {
        var buffer = (byte*)NativeMemory.AlignedAlloc(BlockHashes.BlockBytes, BlockDevice.Alignment);
        try
        {
            var chosen = hashes.Chosen(mode, Random.Shared.Next(BlockHashes.SampleStride));
            var wrong = new List<int>();
            for (var i = 0; i < chosen.Length; i++)
            {
                cancel.ThrowIfCancellationRequested();
                var (block, size) = (chosen[i], hashes.SizeOf(chosen[i]));
                if (device.Read(buffer, size, (long)block * BlockHashes.BlockBytes) is { } fault)
                {
                    return fault;
                }
                if (!hashes.Matches(block, new ReadOnlySpan<byte>(buffer, size)))
                {
                    wrong.Add(block);
                }
                if (i % 16 == 15)
                {
                    report("verify", (long)i * BlockHashes.BlockBytes, (long)chosen.Length * BlockHashes.BlockBytes);
                }
            }
            return wrong.Count == 0 ? OrderOutcome.Found(("blocks", chosen.Length.ToString())) : Mismatch(device.Path, wrong, chosen.Length);
        }
        finally
        {
            NativeMemory.AlignedFree(buffer);
        }
    }

    static Fault Mismatch(string device, List<int> wrong, int read) => Fault.Of(
        FaultCodes.DiskMismatch, $"{wrong.Count} of {read} blocks read back from {device} are not what was written.",
        "blocks of 4 MiB at byte " + string.Join(", ", wrong.Take(NamedLimit).Select(b => (long)b * BlockHashes.BlockBytes)) + (wrong.Count > NamedLimit ? ", …" : ""));
}

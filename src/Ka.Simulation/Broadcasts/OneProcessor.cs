using System.Runtime.InteropServices;

namespace Ka.Simulation.Broadcasts;

/// <summary>
/// Keeps threads that run one at a time on one processor: handing on is then a switch and no wake-up of another processor, which takes several times as
/// long. Where the kernel refuses, it is only slower.
/// </summary>
sealed partial class OneProcessor
{
    const int Words = 16;

    readonly ulong[]? _mask;

    /// <summary>The processor that the caller runs on.</summary>
    public OneProcessor()
    {
        if (sched_getcpu() is >= 0 and < Words * 64 and var number)
        {
            _mask = new ulong[Words];
            _mask[number / 64] = 1UL << (number % 64);
        }
    }

    public void Take()
    {
        if (_mask is not null)
        {
            _ = sched_setaffinity(0, Words * sizeof(ulong), _mask);
        }
    }

    [LibraryImport("libc")]
    private static partial int sched_getcpu();

    [LibraryImport("libc")]
    private static partial int sched_setaffinity(int thread, nint bytes, ulong[] mask);
}

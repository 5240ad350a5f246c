using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>Where a received image goes: an archive into a directory, or a disk image onto a block device.</summary>
interface IImageSink : IDisposable
{
    /// <summary>Takes the image as it arrives, compressed.</summary>
    Stream Input { get; }

    /// <summary>Bytes of the uncompressed image so far.</summary>
    long Bytes { get; }

    /// <summary>It ended with an error before its input did.</summary>
    bool HasFailed { get; }

    /// <summary>Ends the input and judges what came of it. Null when everything succeeded and the image is whole.</summary>
    /// <param name="complete">False when the input broke off: then the sink says why, if it was the cause.</param>
    Task<Fault?> Finish(bool complete, CancellationToken cancel);

    /// <summary>Brings everything to the disk, with every error seen.</summary>
    Fault? Persist();

    void Kill();
}

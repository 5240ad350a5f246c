using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>An image that the site's own program brings to this node.</summary>
static class PlacedImage
{
    /// <summary>Carries out <see cref="MakeRoom"/>.</summary>
    public static OrderOutcome MakeRoom(MakeRoom order, OrderContext context)
    {
        var (place, fault) = WholePlace.Make(order.Bytes, order.RoomOnTarget, context.Paths);
        return place is null ? fault! : OrderOutcome.Found(("image", place.File));
    }

    /// <summary>Proves what was brought and unpacks it.</summary>
    public static async Task<OrderOutcome> Unpack(ImageManifest manifest, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        using var place = WholePlace.Find(context.Paths);
        if (place is null || !File.Exists(place.File))
        {
            return Fault.Of(FaultCodes.BroadcastProgramFailed, "The image was not brought to this node.", place?.File ?? AgentProtocol.WholeImagePath);
        }
        var file = new WholeFile(place.File, manifest, sink.Input);
        return await Receiving.Into(sink, new Reception(file.Give, () => file.Progress), context, report, cancel);
    }
}
